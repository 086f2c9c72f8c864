package main

import (
	"strings"
	"testing"
)

// TestCookieOfAFile: what a person has of a cookie, also the jar that curl keeps.
func TestCookieOfAFile(t *testing.T) {
	const head = "# Netscape HTTP Cookie File\n# https://curl.se/docs/http-cookies.html\n\n"
	line := func(name, value string) string {
		return "#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\t" + name + "\t" + value + "\n"
	}
	for text, want := range map[string]string{
		"sealed-1":                       "sealed-1",
		"HOLDFAST=sealed-1; Path=/":      "sealed-1",
		`HOLDFAST="sealed-1"`:            "sealed-1",
		head + line("OTHER", "sealed-1"): "sealed-1",
		head + line("JSESSIONID", "SECRET") + line("HOLDFAST", "sealed-1"): "sealed-1",
	} {
		if got, err := cookieValue(strings.TrimSpace(text)); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		head + line("A", "SECRET") + line("B", "SECRET"): "a jar with the cookies A, B",
		head:                     "no cookie, but other text",
		"two SECRET":             "no cookie, but other text",
		"HOLDFAST=two\nA=SECRET": "no cookie, but other text",
	} {
		if _, err := cookieValue(strings.TrimSpace(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
