package lb

import "strings"

// form is what a page of Holdfast's own is written in.
type form uint8

const (
	formText form = iota
	formHTML
	formJSON
	forms // how many there are
)

// maxAccepted bounds what is read of Accept: no browser sends more than a dozen types.
const maxAccepted = 64

// preferredForm chooses by Accept (RFC 9110, 12.5.1) the form that the client likes best; of those that it likes as much HTML, then JSON. A client that names none of
// them gets plain text, or, when it takes anything, one of those that own has.
func preferredForm(accept []string, own [forms]bool) form {
	var liked [forms]int // quality in thousandths
	var by [forms]int    // how exactly the range names the form, which beats less exact ones
	read := 0
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			if read++; read > maxAccepted {
				break
			}
			media, params, _ := strings.Cut(item, ";")
			q, ok := quality(params)
			if !ok {
				continue
			}
			f, exact := formOf(strings.ToLower(strings.Trim(media, " \t")))
			for i := range forms {
				if f[i] && (exact > by[i] || exact == by[i] && q > liked[i]) {
					liked[i], by[i] = q, exact
				}
			}
		}
	}
	best, named := formText, false
	for _, f := range [...]form{formHTML, formJSON, formText} {
		if liked[f] > 0 && by[f] > anyMedia && (!named || liked[f] > liked[best]) {
			best, named = f, true
		}
	}
	if named {
		return best
	}
	for _, f := range [...]form{formText, formHTML, formJSON} {
		if own[f] && (liked[f] > 0 || len(accept) == 0) {
			return f
		}
	}
	return formText
}

const anyMedia = 1 // how exactly */* names a form; text/* and application/* do so by one more, the whole name by two more

// formOf tells which forms a media range names, and how exactly.
func formOf(media string) (f [forms]bool, exact int) {
	switch media {
	case "*/*":
		return [forms]bool{true, true, true}, anyMedia
	case "text/*":
		return [forms]bool{formText: true, formHTML: true}, anyMedia + 1
	case "application/*":
		return [forms]bool{formJSON: true}, anyMedia + 1
	case "text/html", "application/xhtml+xml":
		return [forms]bool{formHTML: true}, anyMedia + 2
	case "application/json", "application/problem+json":
		return [forms]bool{formJSON: true}, anyMedia + 2
	case "text/plain":
		return [forms]bool{formText: true}, anyMedia + 2
	}
	return f, 0
}

// quality reads q out of the parameters of a media range: 1 without one, in thousandths. ok is false for what is none (RFC 9110, 12.4.2).
func quality(params string) (q int, ok bool) {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.Trim(param, " \t"), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		whole, digits, _ := strings.Cut(value, ".")
		if whole != "0" && whole != "1" || len(digits) > 3 {
			return 0, false
		}
		for i := range 3 {
			d := 0
			if i < len(digits) {
				if digits[i] < '0' || digits[i] > '9' {
					return 0, false
				}
				d = int(digits[i] - '0')
			}
			q = q*10 + d
		}
		if whole == "1" {
			if q > 0 {
				return 0, false
			}
			q = 1000
		}
		return q, true
	}
	return 1000, true
}
