package testenv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// outputs are the flags of a test binary that name a file it writes. `go test`
// puts some of them into folders that only the caller may enter.
var outputs = []string{
	"testlogfile", "coverprofile", "cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace",
}

// redirection is a file or folder that the test writes at From and that the
// caller expects at To.
type redirection struct {
	From, To string
	Folder   bool
}

// runsInPlace is true for runs that must stay the process that `go test`
// started: fuzzing writes into the caller's cache, and listing needs nothing.
func runsInPlace(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		name, value, _ := flagOf(arg)
		return value != "" && (name == "fuzz" || name == "list") || name == "fuzzworker"
	})
}

// redirect points every output flag into dir. The form is always
// -test.name=value, which is how `go test` writes it.
func redirect(args []string, dir string) ([]string, []redirection) {
	outputDir := ""
	for _, arg := range args {
		if name, value, ok := flagOf(arg); ok && name == "outputdir" {
			outputDir = value
		}
	}
	var kept []string
	var files []redirection
	for _, arg := range args {
		name, value, ok := flagOf(arg)
		switch {
		case ok && name == "outputdir":
			continue
		case ok && value != "" && (slices.Contains(outputs, name) || name == "gocoverdir"):
			r := redirection{From: filepath.Join(dir, name), To: value, Folder: name == "gocoverdir"}
			if !filepath.IsAbs(r.To) && outputDir != "" {
				r.To = filepath.Join(outputDir, r.To)
			}
			files = append(files, r)
			arg = "-test." + name + "=" + r.From
		}
		kept = append(kept, arg)
	}
	return kept, files
}

// flagOf splits -test.name=value or --test.name=value.
func flagOf(arg string) (name, value string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(arg, "-"), "-test.")
	if !ok {
		if rest, ok = strings.CutPrefix(arg, "-test."); !ok {
			return "", "", false
		}
	}
	name, value, _ = strings.Cut(rest, "=")
	return name, value, true
}

// bringBack copies what the test wrote to where its caller expects it.
func bringBack(files []redirection) error {
	var errs []error
	for _, r := range files {
		if !r.Folder {
			errs = append(errs, bringFile(r.From, r.To))
			continue
		}
		entries, err := os.ReadDir(r.From)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			errs = append(errs, bringFile(filepath.Join(r.From, e.Name()), filepath.Join(r.To, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// bringFile does nothing when the test wrote no such file, as a panicking one does.
func bringFile(from, to string) error {
	if err := copyFile(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bring back %s: %w", filepath.Base(to), err)
	}
	return nil
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
