package config

import "strings"

// maxFileName bounds the name of a file.
const maxFileName = 128

// FileName reports whether a file of the group may have that name: letters, digits, dots, dashes and underscores, the first a letter or a digit. So no name leads anywhere
// but to a file, in a path or on a disk.
func FileName(name string) bool {
	if name == "" || len(name) > maxFileName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return false
		}
	}
	return true
}

// NamedFiles are the files that the error pages name, by page; "" for a page without one.
func (c *Config) NamedFiles() []string {
	names := make([]string, len(c.Proxy.ErrorPages))
	for i := range c.Proxy.ErrorPages {
		names[i] = c.Proxy.ErrorPages[i].File
	}
	return names
}

// PageForm is the form of a page whose content is a file of that name: html, json or text; "" for a name that says none.
func PageForm(name string) string {
	for _, end := range []struct{ end, form string }{{".html", "html"}, {".json", "json"}, {".txt", "text"}} {
		if strings.HasSuffix(name, end.end) {
			return end.form
		}
	}
	return ""
}

func validatePageFile(p *problems, at *path, e *ErrorPage) {
	if e.File == "" {
		return
	}
	at = at.child("file")
	form := PageForm(e.File)
	switch {
	case !FileName(e.File):
		p.add(at, "write it as 'holdfast file list' shows it, as in sorry.html", "%q cannot be the name of a file", clip(e.File))
	case form == "":
		p.add(at, "name a file that ends in .html, .json or .txt", "%q does not say which form of the page it is", clip(e.File))
	case form == "html" && e.HTML != "", form == "json" && e.JSON != "", form == "text" && e.Text != "":
		p.add(at, "remove one of them", "the page has its %s form already", form)
	}
}

func validateFilesPath(p *problems, at *path, prefix string) {
	const hint = "write it as in /_files/"
	if prefix == "" {
		return
	}
	switch {
	case len(prefix) < 3 || len(prefix) > 128 || prefix[0] != '/' || prefix[len(prefix)-1] != '/':
		p.add(at, hint, "%q is no path that begins and ends with a slash, of 3 to 128 characters", clip(prefix))
		return
	}
	for part := range strings.SplitSeq(prefix[1:len(prefix)-1], "/") {
		if strings.Trim(part, ".") == "" || strings.ContainsFunc(part, func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
		}) {
			p.add(at, hint, "%q has a part that is not made of letters, digits, dots, dashes and underscores", clip(prefix))
			return
		}
	}
}
