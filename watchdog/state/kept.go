package state

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// settled is how old a change of a file must be before the file's content is
// kept. Times in an inode are as coarse as a tick of the kernel, so that two
// changes within one could look the same.
const settled = time.Second

// kept is the decoded content of one state file, read anew only when the file is
// another one: the service asks several times a second what changes once a
// month. Every write replaces the file, which shows in its inode and times.
// The value that read gives is shared: nobody may write into it.
type kept[T any] struct {
	mu   sync.Mutex
	file identity // zero: nothing is kept
	data *T
	now  func() time.Time // nil: time.Now
}

// identity is what tells one version of a file from another.
type identity struct {
	dev, ino       uint64
	size           int64
	changed, wrote syscall.Timespec
}

func identityOf(info fs.FileInfo) identity {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{} // fits nothing that is kept
	}
	return identity{dev: st.Dev, ino: st.Ino, size: st.Size, changed: st.Ctim, wrote: st.Mtim}
}

// read gives the content of the file at path; nil when there is certainly none.
func (k *kept[T]) read(path string) (*T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if info, err := os.Stat(path); err == nil && k.data != nil && k.file == identityOf(info) {
		return k.data, nil
	}
	k.file, k.data = identity{}, nil
	clock := k.now
	if clock == nil {
		clock = time.Now
	}
	now, data := clock(), new(T)
	file, found, err := readFile(path, data)
	if err != nil || !found {
		return nil, err
	}
	if file != (identity{}) && now.Sub(time.Unix(file.changed.Unix())) > settled {
		k.file, k.data = file, data
	}
	return data, nil
}

// forget makes the next read look at the disk.
func (k *kept[T]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.file, k.data = identity{}, nil
}

// content reads a whole file and says which version of it that was.
func content(path string) ([]byte, identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, identity{}, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, identity{}, err
	}
	b, err := io.ReadAll(f)
	return b, identityOf(info), err
}
