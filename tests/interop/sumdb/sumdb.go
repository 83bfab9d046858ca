// Other people's tools read a log that Barid wrote, and write one for Barid to read.
//
//	sumdb check VKEY DIR   verify DIR/checkpoint, its tiles and entries, and proofs
//	sumdb make NAME SIZE DIR   write a log of SIZE entries, with its verifier key and proofs
//	sumdb proof VKEY FILE HEX   verify a tlog-proof of the record in hex
//	sumdb cosign NAME SECONDS FILE   cosign a checkpoint with a fresh Ed25519 key
//
// Everything that matters is golang.org/x/mod/sumdb: notes, trees, tiles and proofs. The two differ in one thing
// from C2SP tlog-tiles: sumdb puts the tile height into the path, and calls entry bundles data tiles.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "check":
		err = check(os.Args[2], os.Args[3])
	case len(os.Args) == 5 && os.Args[1] == "make":
		err = writeLog(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 5 && os.Args[1] == "proof":
		err = checkProof(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 5 && os.Args[1] == "cosign":
		err = cosign(os.Args[2], os.Args[3], os.Args[4])
	default:
		err = fmt.Errorf("sumdb check VKEY DIR | make NAME SIZE DIR | proof VKEY FILE HEX | cosign NAME SECONDS FILE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tilePath is the path of a tile in C2SP tlog-tiles.
func tilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H))
	return "tile/" + strings.Replace(path, "data/", "entries/", 1)
}

type files struct{ dir string }

func (f files) Height() int { return height }

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(filepath.Join(f.dir, tilePath(t)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

type report struct {
	Origin  string `json:"origin"`
	Size    int64  `json:"size"`
	Root    string `json:"root"`
	Entries int64  `json:"entries"`
	Grew    int64  `json:"grew"`
}

func check(vkey, dir string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return fmt.Errorf("a checkpoint has three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, files{dir})
	entries, err := checkEntries(dir, size, root, reader)
	if err != nil {
		return err
	}
	grew, err := checkGrowth(size, root, reader)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report{lines[0], size, lines[2], entries, grew})
}

// checkEntries compares every entry of every bundle with the tree, and proves the first of each.
func checkEntries(dir string, size int64, root tlog.Hash, reader tlog.HashReader) (int64, error) {
	var index int64
	for n := int64(0); index < size; n++ {
		width := 1 << height
		if left := size - index; left < int64(width) {
			width = int(left)
		}
		tile := tlog.Tile{H: height, L: -1, N: n, W: width}
		data, err := os.ReadFile(filepath.Join(dir, tilePath(tile)))
		if err != nil {
			return 0, err
		}
		var indexes []int64
		var leaves []tlog.Hash
		for i := 0; i < width; i++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return 0, fmt.Errorf("bundle %d is too short", n)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			indexes = append(indexes, tlog.StoredHashIndex(0, index+int64(i)))
			leaves = append(leaves, tlog.RecordHash(data[2:end]))
			data = data[end:]
		}
		// The reader has verified what it gives against the root.
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return 0, err
		}
		for i, leaf := range leaves {
			if leaf != hashes[i] {
				return 0, fmt.Errorf("entry %d is another one", index+int64(i))
			}
		}
		proof, err := tlog.ProveRecord(size, index, reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, size, root, index, leaves[0]); err != nil {
			return 0, fmt.Errorf("entry %d: %w", index, err)
		}
		index += int64(width)
		if len(data) > 0 {
			return 0, fmt.Errorf("bundle %d is too long", n)
		}
	}
	return index, nil
}

// checkGrowth proves trees of some earlier sizes to be beginnings of this one.
func checkGrowth(size int64, root tlog.Hash, reader tlog.HashReader) (int64, error) {
	var grew int64
	for old := size; old > 0; old = old * 2 / 3 {
		before, err := tlog.TreeHash(old, reader)
		if err != nil {
			return 0, err
		}
		proof, err := tlog.ProveTree(size, old, reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, size, root, old, before); err != nil {
			return 0, err
		}
		grew++
	}
	return grew, nil
}

type proof struct {
	Index int64    `json:"index"`
	Root  string   `json:"root"`
	Path  []string `json:"path"`
}

type proofs struct {
	Key       string  `json:"key"`
	Inclusion []proof `json:"inclusion"`
	Growth    []proof `json:"growth"`
}

type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, index := range indexes {
		found = append(found, s[index])
	}
	return found, nil
}

func encoded(hashes []tlog.Hash) []string {
	found := []string{}
	for _, hash := range hashes {
		found = append(found, base64.StdEncoding.EncodeToString(hash[:]))
	}
	return found
}

func writeLog(name, text, dir string) error {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	var hashes stored
	bundles := map[int64][]byte{}
	for index := int64(0); index < size; index++ {
		entry := []byte(fmt.Sprintf("entry %d", index))
		more, err := tlog.StoredHashes(index, entry, hashes)
		if err != nil {
			return err
		}
		hashes = append(hashes, more...)
		bundle := bundles[index>>height]
		bundle = append(bundle, byte(len(entry)>>8), byte(len(entry)))
		bundles[index>>height] = append(bundle, entry...)
	}
	for _, tile := range tlog.NewTiles(height, 0, size) {
		data, err := tlog.ReadTileData(tile, hashes)
		if err != nil {
			return err
		}
		if err := write(dir, tilePath(tile), data); err != nil {
			return err
		}
		if tile.L == 0 {
			tile.L = -1
			if err := write(dir, tilePath(tile), bundles[tile.N]); err != nil {
				return err
			}
		}
	}
	root, err := tlog.TreeHash(size, hashes)
	if err != nil {
		return err
	}
	body := fmt.Sprintf("%s\n%d\n%s\n", name, size, root)
	signed, err := note.Sign(&note.Note{Text: body}, signer)
	if err != nil {
		return err
	}
	if err := write(dir, "checkpoint", signed); err != nil {
		return err
	}
	made := proofs{Key: vkey}
	for index := int64(0); index < size; index = index*2 + 1 {
		path, err := tlog.ProveRecord(size, index, hashes)
		if err != nil {
			return err
		}
		made.Inclusion = append(made.Inclusion, proof{index, root.String(), encoded(path)})
	}
	for old := size; old > 0; old = old * 2 / 3 {
		before, err := tlog.TreeHash(old, hashes)
		if err != nil {
			return err
		}
		path, err := tlog.ProveTree(size, old, hashes)
		if err != nil {
			return err
		}
		made.Growth = append(made.Growth, proof{old, before.String(), encoded(path)})
	}
	return json.NewEncoder(os.Stdout).Encode(made)
}

func write(dir, name string, data []byte) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
