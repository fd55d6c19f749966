// Package bench measures what the program promises of its speed and its cost,
// on real servers and real services built as they ship, and prints the figures
// beside their targets (`make bench`). Nothing here is asserted: machines
// differ, and a busy one is slow. A run fails only when a round could not be
// carried out or when more was lost than the plan had announced.
//
// Without -bench nothing of it runs, save the tests of its own arithmetic.
package bench
