package testenv

import (
	"fmt"
	"os"
	"testing"
)

// echoCommand prints a variable and its arguments.
const echoCommand = "echo"

func TestMain(m *testing.M) {
	Main(m, Command{Name: echoCommand, Run: func() int {
		fmt.Printf("%s %q\n", os.Getenv("GREETING"), os.Args[1:])
		return 3
	}})
}
