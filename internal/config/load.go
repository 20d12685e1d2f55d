package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFile bounds the file: nobody writes a megabyte of settings by hand.
const maxFile = 1 << 20

// Problem is one thing wrong with a configuration file.
type Problem struct {
	File string
	Line int // from 1; 0 when the key is missing
	Text string
}

// Error is "FILE:LINE: what is wrong; what is allowed".
func (p *Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Load reads the file at path. What is wrong comes back as Problems, joined, in
// the order of the file.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read configuration %s: larger than 1 MiB", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, filepath.Dir(abs), text)
}

// Parse reads the text of a configuration file; file is its name for errors, dir
// where relative paths start.
func Parse(file, dir string, text []byte) (*Config, error) {
	c := Default(dir)
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, decodeProblems(file, err)
	}
	found := c.problems()
	if len(found) == 0 {
		return &c, nil
	}
	lines := keyLines(text)
	var errs []error
	for _, p := range found {
		errs = append(errs, &Problem{File: file, Line: lines[p.key], Text: p.key + ": " + p.text})
	}
	return nil, errors.Join(errs...)
}

// decodeProblems turns the decoder's errors into ours, which say what is allowed.
func decodeProblems(file string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var errs []error
		for i := range strict.Errors {
			e := &strict.Errors[i]
			line, _ := e.Position()
			errs = append(errs, &Problem{File: file, Line: line, Text: unknownKey(e.Key())})
		}
		return errors.Join(errs...)
	}
	de, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		return &Problem{File: file, Text: err.Error()}
	}
	line, _ := de.Position()
	text := strings.TrimPrefix(de.Error(), "toml: ")
	if field, ok := fieldAt(de.Key()); ok {
		text = fmt.Sprintf("%s: want %s", strings.Join(de.Key(), "."), wanted(field))
	}
	return &Problem{File: file, Line: line, Text: text}
}

// unknownKey says that a key is none, and which there are beside it.
func unknownKey(key toml.Key) string {
	parent := reflect.TypeFor[Config]()
	at := 0
	for ; at < len(key)-1; at++ {
		next, ok := child(parent, key[at])
		if !ok || next.Kind() != reflect.Struct {
			break
		}
		parent = next
	}
	where := "at the top"
	if at > 0 {
		where = "in [" + strings.Join(key[:at], ".") + "]"
	}
	return fmt.Sprintf("%s is no key; allowed %s: %s", strings.Join(key, "."), where, strings.Join(keysOf(parent), ", "))
}

// child is the type of the field whose TOML key is name.
func child(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("toml") == name {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

// fieldAt is the type of the field that a dotted key names.
func fieldAt(key toml.Key) (reflect.Type, bool) {
	t := reflect.TypeFor[Config]()
	for _, name := range key {
		if t.Kind() != reflect.Struct {
			break
		}
		next, ok := child(t, name)
		if !ok {
			return nil, false
		}
		t = next
	}
	return t, len(key) > 0
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if k := t.Field(i).Tag.Get("toml"); k != "-" {
			keys = append(keys, k)
		}
	}
	return keys
}

// wanted says in words what a field of type t takes.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return new(Duration).UnmarshalText(nil).Error()
	case reflect.TypeFor[Size]():
		return new(Size).UnmarshalText(nil).Error()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return `a list of texts such as ["one", "two"]`
	case reflect.Map:
		return `a table of texts such as {"example.com" = "relay.example.net:25"}`
	case reflect.Struct:
		return "a section with the keys " + strings.Join(keysOf(t), ", ")
	}
	return `a text in quotes`
}

// keyLines maps each dotted key of the text to its line. The text has been
// decoded before and is known to be TOML.
func keyLines(text []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(text)
	var section []string
	for p.NextExpression() {
		node := p.Expression()
		var names []string
		line := 0
		for it := node.Key(); it.Next(); {
			key := it.Node()
			names = append(names, string(key.Data))
			if line == 0 {
				line = p.Shape(key.Raw).Start.Line
			}
		}
		if node.Kind == unstable.Table || node.Kind == unstable.ArrayTable {
			section = names
		} else {
			names = append(append([]string(nil), section...), names...)
		}
		lines[strings.Join(names, ".")] = line
	}
	return lines
}
