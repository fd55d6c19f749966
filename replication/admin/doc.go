// Package admin gives the SQL that installs our schema, tables and roles, as a
// script to read or applied to a server. It grants each role what its work
// needs and nothing more.
package admin
