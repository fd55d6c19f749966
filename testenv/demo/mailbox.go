package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

// Message is one mail as it arrived.
type Message struct {
	File    string
	From    string // of the envelope
	To      []string
	Subject string
	Header  mail.Header
	Body    string // as sent: transfer encoding not undone, see Text
	At      time.Time
}

// mailBox is a folder in the form of a maildir: messages are written in tmp
// and appear in new in one step.
type mailBox struct {
	dir string
	mu  *sync.Mutex
	n   *int
}

func newMailBox(dir string) (mailBox, error) {
	if dir == "" {
		return mailBox{}, errors.New("mail sink without a folder")
	}
	for _, sub := range []string{"tmp", "new"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return mailBox{}, fmt.Errorf("make mail box: %w", err)
		}
	}
	return mailBox{dir: dir, mu: new(sync.Mutex), n: new(int)}, nil
}

// deliver puts the envelope before the message, as a last mail server does.
func (b mailBox) deliver(from string, to []string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	*b.n++
	var out bytes.Buffer
	fmt.Fprintf(&out, "Return-Path: <%s>\r\n", from)
	for _, recipient := range to {
		fmt.Fprintf(&out, "Delivered-To: %s\r\n", recipient)
	}
	out.Write(data)
	// Names sort in the order of arrival, within one process and between two.
	name := fmt.Sprintf("%d.%06d_%d.localhost", time.Now().UnixNano(), *b.n, os.Getpid())
	draft := filepath.Join(b.dir, "tmp", name)
	if err := os.WriteFile(draft, out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if err := os.Rename(draft, filepath.Join(b.dir, "new", name)); err != nil {
		return fmt.Errorf("deliver mail: %w", err)
	}
	return nil
}

// ReadMail reads the mail box in dir, oldest message first. The sink may go on
// writing to it, in this process or another.
func ReadMail(dir string) ([]Message, error) {
	files, err := filepath.Glob(filepath.Join(dir, "new", "*"))
	if err != nil {
		return nil, fmt.Errorf("list mail: %w", err)
	}
	sort.Strings(files)
	messages := make([]Message, 0, len(files))
	for _, file := range files {
		m, err := readMessage(file)
		if err != nil {
			return nil, fmt.Errorf("read mail %s: %w", filepath.Base(file), err)
		}
		messages = append(messages, m)
	}
	return messages, nil
}

func readMessage(file string) (Message, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Message{}, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return Message{}, err
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return Message{}, err
	}
	body, err := io.ReadAll(parsed.Body)
	if err != nil {
		return Message{}, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	if err != nil {
		return Message{}, err
	}
	return Message{
		File: file, From: strings.Trim(parsed.Header.Get("Return-Path"), "<>"), To: parsed.Header["Delivered-To"],
		Subject: subject, Header: parsed.Header, Body: string(body), At: info.ModTime(),
	}, nil
}
