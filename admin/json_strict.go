package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a JSON body. Our documents need three levels.
const maxDepth = 32

// unmarshalStrict is encoding/json without what it is lenient about: duplicate keys (RFC 8259 section 4 calls their
// meaning unpredictable), invalid UTF-8, and nesting of ten thousand levels. Unknown fields are the schema's business.
func unmarshalStrict(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8")
	}
	if err := checkJSON(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return fmt.Errorf("%s: a %s does not fit", wrongType.Field, wrongType.Value)
		}
		return fmt.Errorf("not JSON: %v", err)
	}
	return nil
}

// checkJSON walks the tokens of data: exactly one value, no duplicate keys, bounded nesting.
func checkJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var keys []map[string]bool // of each open object; nil for an array
	wantKey := false
	for values := 0; ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && values == 1 && len(keys) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("not JSON: at byte %d: %v", dec.InputOffset(), err)
		}
		if len(keys) == 0 {
			if values++; values > 1 {
				return errors.New("more than one JSON value in the body")
			}
		}
		switch t := tok.(type) {
		case json.Delim:
			switch t {
			case '{':
				keys = append(keys, map[string]bool{})
			case '[':
				keys = append(keys, nil)
			default:
				keys = keys[:len(keys)-1]
			}
			if len(keys) > maxDepth {
				return fmt.Errorf("nested more than %d levels deep", maxDepth)
			}
			wantKey = len(keys) > 0 && keys[len(keys)-1] != nil
			continue
		case string:
			if wantKey {
				open := keys[len(keys)-1]
				if open[t] {
					return fmt.Errorf("at byte %d: a key is given twice in one object", dec.InputOffset())
				}
				open[t] = true
				wantKey = false
				continue
			}
		}
		wantKey = len(keys) > 0 && keys[len(keys)-1] != nil
	}
}

// marshal writes v as JSON in one piece. A client that has gone away is no error of ours.
func marshal(w io.Writer, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Write(buf.Bytes())
	return nil
}
