// Package build is what the importers share: a configuration to fill in, numbers and patterns as the old formats write them, and the last check, which
// finds the place of every fault in the file.
package build
