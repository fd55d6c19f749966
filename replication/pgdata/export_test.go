package pgdata

// HoldersIn is Holders with another place for /proc.
var HoldersIn = holders
