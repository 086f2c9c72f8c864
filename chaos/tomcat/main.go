package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

func main() {
	binary := flag.String("holdfast", os.Getenv("HOLDFAST_BIN"), "`PATH` of the holdfast program")
	users := flag.Int("users", 200, "`NUMBER` of clients")
	keepLogs := flag.String("logs", "", "`DIR` to which logs are written and where they are kept (default: a directory that is removed)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	err := run(ctx, *binary, *keepLogs, *users)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tomcat:", err)
		os.Exit(1)
	}
}

// run plays the scenario with and without a jvmRoute. Every process and file is gone when it returns.
func run(ctx context.Context, binary, dir string, users int) error {
	if binary == "" {
		return fmt.Errorf("name the holdfast program with -holdfast or HOLDFAST_BIN")
	}
	if dir == "" {
		made, err := os.MkdirTemp("", "holdfast-tomcat-")
		if err != nil {
			return err
		}
		dir = made
		defer func() { _ = os.RemoveAll(made) }()
	}
	began := time.Now()
	var table summary
	for _, routed := range []bool{false, true} {
		var set proc.Set
		s := &scenario{binary: binary, dir: fmt.Sprintf("%s/%s", dir, modeName(routed)), routed: routed, set: &set, began: began, table: &table}
		err := s.play(ctx, users)
		if err != nil && s.group != nil {
			fmt.Fprint(os.Stderr, s.group.Tails(15))
		}
		set.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", modeName(routed), err)
		}
	}
	return table.print(os.Stdout, time.Since(began))
}

func modeName(routed bool) string {
	if routed {
		return "with-jvmRoute"
	}
	return "without-jvmRoute"
}
