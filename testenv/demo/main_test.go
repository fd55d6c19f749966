package demo_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// makerCommand makes a pair, prints its folder, and waits to be killed.
const makerCommand = "maker"

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Command{Name: makerCommand, Run: func() int {
		p, err := demo.NewPair(context.Background(), demo.Options{})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(p.Dir)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // nobody writes: until the end
		return 0
	}})
}
