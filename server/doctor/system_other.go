//go:build !linux

package doctor

import (
	"context"
	"errors"
	"time"
)

const linuxOnly = "this is known on Linux only"

func (v *visit) fileSystem(string) { v.find("disk", "file system", Skipped, "", linuxOnly) }

func timeSyncs(context.Context, string) ([]time.Duration, error) { return nil, errors.ErrUnsupported }

func (v *visit) ownClock() { v.find("clock", "synchronised", Skipped, "", linuxOnly) }

func (v *visit) files() { v.find("net", "open files", Skipped, "", linuxOnly) }
