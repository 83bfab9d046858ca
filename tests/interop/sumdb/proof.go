package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkProof verifies a file of C2SP tlog-proof: the log's line, and that the record is in the tree.
func checkProof(vkey, file, record string) error {
	data, err := hex.DecodeString(record)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parts := strings.SplitN(string(text), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("it is no tlog-proof")
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil {
		return err
	}
	var path tlog.RecordProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(parts[1]), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	body := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(body[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(body[2])
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(path, size, root, index, tlog.RecordHash(data)); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report{Origin: body[0], Size: size, Root: body[2]})
}

type cosigned struct {
	Key  string `json:"key"`
	Line string `json:"line"`
}

// cosign adds nothing to a checkpoint: it prints a fresh witness's key and line (C2SP tlog-cosignature, Ed25519).
func cosign(name, seconds, file string) error {
	at, err := strconv.ParseUint(seconds, 10, 63)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	body := string(text[:strings.LastIndex(string(text), "\n\n")+1])
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	material := append([]byte{4}, public...)
	id := sha256.Sum256(append([]byte(name+"\n"), material...))
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, body)
	signed := binary.BigEndian.AppendUint64(append([]byte{}, id[:4]...), at)
	signed = append(signed, ed25519.Sign(private, []byte(message))...)
	encode := base64.StdEncoding.EncodeToString
	return json.NewEncoder(os.Stdout).Encode(cosigned{
		fmt.Sprintf("%s+%x+%s", name, id[:4], encode(material)),
		fmt.Sprintf("— %s %s\n", name, encode(signed)),
	})
}
