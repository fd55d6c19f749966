package demo

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
)

// Text is the message for a person: its first part of plain text, with the
// transfer encoding undone. A message without one is an error.
func (m Message) Text() (string, error) {
	text, err := plainText(textproto.MIMEHeader(m.Header), strings.NewReader(m.Body))
	if err != nil {
		return "", fmt.Errorf("read text of mail %q: %w", m.Subject, err)
	}
	return text, nil
}

var errNoText = errors.New("no part is plain text")

func plainText(header textproto.MIMEHeader, body io.Reader) (string, error) {
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if header.Get("Content-Type") == "" {
		kind, err = "text/plain", nil // RFC 2045, 5.2
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("read its type: %w", err)
	case strings.HasPrefix(kind, "multipart/"):
		return firstText(multipart.NewReader(body, parameters["boundary"]))
	case kind != "text/plain":
		return "", errNoText
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	return strings.ReplaceAll(string(text), "\r\n", "\n"), err
}

// firstText looks into parts of parts as well.
func firstText(parts *multipart.Reader) (string, error) {
	for {
		part, err := parts.NextRawPart() // raw: the other one undoes one of the encodings, and hides it
		if errors.Is(err, io.EOF) {
			return "", errNoText
		}
		if err != nil {
			return "", err
		}
		text, err := plainText(part.Header, part)
		if !errors.Is(err, errNoText) {
			return text, err
		}
	}
}
