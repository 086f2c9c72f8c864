package build

import "strings"

// ContextRoot gives the context root under which the requests of a URL pattern come: /app/* is /app, and /* or / is /. why says how they differ; it
// is empty when they do not. Wildcards are * and ?. A pattern without one is ok only as a path.
func ContextRoot(pattern string) (root, why string, ok bool) {
	switch {
	case pattern == "/", pattern == "/*":
		return "/", "", true
	case strings.HasPrefix(pattern, "*."):
		return "/", "Holdfast leads requests by context root, not by extension: every request that no longer context root takes goes here", true
	case !strings.HasPrefix(pattern, "/"):
		return "", "", false
	}
	wild := strings.IndexAny(pattern, "*?")
	if wild < 0 {
		return pattern, "what is below the path goes here too, since Holdfast leads requests by context root", true
	}
	if pattern[wild:] == "*" && strings.HasSuffix(pattern[:wild], "/") {
		return strings.TrimSuffix(pattern[:wild], "/"), "", true
	}
	if pattern[wild:] == "*" {
		return pattern[:wild], "only the path itself and what is below it go here, not other names that begin like it", true
	}
	if root = pattern[:strings.LastIndexByte(pattern[:wild], '/')]; root == "" {
		root = "/"
	}
	return root, "Holdfast leads requests by context root, without wildcards inside: everything below it goes here", true
}
