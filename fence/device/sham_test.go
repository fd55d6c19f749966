package device

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Command{Name: "fence_sham", Run: func() int { return shamAgent("on off reboot status metadata") }},
		testenv.Command{Name: "fence_cycler", Run: func() int { return shamAgent("reboot status metadata") }})
}

// sham gives the path of one of these programs. A race-enabled binary sleeps
// one second when it exits, unless told not to.
func sham(t *testing.T, name string) string {
	t.Helper()
	return testenv.CommandPath(t, name, "GORACE=atexit_sleep_ms=0")
}

// shamAgent adds to testenv.ShamPower what that switch does not do: it notes how
// it was called, and misbehaves in its exit statuses, its output and its
// children, as its option "behaviour" says. Its power switch is a file.
func shamAgent(actions string) int {
	opt := map[string]string{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), "="); ok {
			opt[k] = v
		}
	}
	if log := opt["log"]; log != "" {
		shamNote(log, opt)
	}
	switch opt["action"] {
	case "metadata":
		fmt.Println(`<resource-agent name="fence_sham"><actions>`)
		for _, a := range strings.Fields(actions) {
			fmt.Printf("<action name=%q automatic=\"0\"/>\n", a)
		}
		fmt.Println(`</actions></resource-agent>`)
		return 0
	case "off":
		return shamOff(opt)
	case "status":
		return shamStatus(opt)
	}
	return 1
}

// shamNote writes down how it was called.
func shamNote(path string, opt map[string]string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close() //nolint:errcheck // a lost note fails the test that reads it
	fmt.Fprintf(f, "action=%s args=%q env=%q password=%q\n", opt["action"], os.Args[1:], os.Environ(), opt["password"])
}

func shamOff(opt map[string]string) int {
	switch opt["behaviour"] {
	case "hang":
		shamHang(opt)
	case "bad-arguments":
		return 2
	case "leak":
		// The password in every place where a cut or a strip could tear it.
		word := opt["password"]
		fmt.Printf("login %s failed \x1b[31m%s\x1b[0m \x00%s\x7f%s ", word, word, word[:4], word[4:])
		fmt.Print(strings.Repeat("x", outputBytes-70), strings.Repeat(word, 400))
		return 3
	case "late-success":
		shamSet(opt, "2")
		fmt.Println("Failed: Timed out waiting to power OFF")
		return 7
	default:
		shamSet(opt, "off")
		fmt.Println("Success: Powered OFF")
	}
	return 0
}

func shamStatus(opt map[string]string) int {
	switch opt["behaviour"] {
	case "bad-arguments":
		return 2
	case "status-hangs":
		shamHang(opt)
	}
	raw, err := os.ReadFile(opt["state"])
	if err != nil {
		return 1
	}
	word := strings.TrimSpace(string(raw))
	if left, err := strconv.Atoi(word); err == nil {
		word = "on"
		if left--; left <= 0 {
			word = "off"
		}
		shamSet(opt, strconv.Itoa(left))
	}
	fmt.Println("Status: " + strings.ToUpper(word))
	if word == "off" {
		return 2
	}
	return 0
}

func shamSet(opt map[string]string, word string) {
	if err := os.WriteFile(opt["state"], []byte(word), 0o600); err != nil {
		panic(err)
	}
}

// shamHang leaves a child behind that holds the output open, as ipmitool would,
// and never comes back.
func shamHang(opt map[string]string) {
	child := exec.Command("sleep", "600")
	child.Stdout = os.Stdout
	if err := child.Start(); err != nil {
		panic(err)
	}
	if err := os.WriteFile(opt["state"]+".pid", []byte(strconv.Itoa(child.Process.Pid)), 0o600); err != nil {
		panic(err)
	}
	select {}
}

// alive is true while the process exists and is no zombie.
func alive(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(raw[strings.LastIndexByte(string(raw), ')')+1:])
	return !strings.HasPrefix(rest, " Z") && syscall.Kill(pid, 0) == nil
}
