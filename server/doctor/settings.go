package doctor

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fewFiles is how many open files a node should be allowed at least: each client takes one, and each connection to an instance.
const fewFiles = 16384

// settings looks at what the node is told, before anything is looked up.
func (v *visit) settings() {
	errs := each(v.Config.Validate())
	for _, err := range errs {
		v.find("settings", "settings", Fault, "correct the flag, the variable or the key of the file", "%v", err)
	}
	if len(errs) == 0 {
		v.find("settings", "settings", OK, "", "they can be used together")
	}
	v.programs()
	v.backups()
}

// programs looks at what the node is to run.
func (v *visit) programs() {
	path := v.Config.VIPHook
	if path == "" {
		return
	}
	st, err := os.Stat(path)
	switch {
	case err != nil:
		v.find("settings", "vip-hook", Fault, "install the program there, or name it by its absolute path", "%v", err)
	case !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0:
		v.find("settings", "vip-hook", Fault, "chmod 0755 "+path, "%s is no program: it cannot be executed", path)
	case st.Mode().Perm()&0o022 != 0:
		v.find("settings", "vip-hook", Warning, "chmod go-w "+path, "others than its owner can change %s, which the node runs with its own rights", path)
	default:
		v.find("settings", "vip-hook", OK, "", "%s can be run", path)
	}
}

// backups looks at the directory of scheduled backups; a store can only be tried.
func (v *visit) backups() {
	to := v.Config.BackupTo
	if to == "" {
		return
	}
	if strings.HasPrefix(to, "s3://") {
		v.find("settings", "backup-to", Skipped, "", "%s is tried by a backup alone: 'holdfast backup create --to %s'", to, to)
		return
	}
	st, err := os.Stat(to)
	switch {
	case err != nil:
		v.find("settings", "backup-to", Fault, "make the directory, or mount what should be there: nothing is written beside a mount that is missing", "%v", err)
	case !st.IsDir():
		v.find("settings", "backup-to", Fault, "name a directory", "%s is no directory", to)
	case unix.Access(to, unix.W_OK|unix.X_OK) != nil:
		v.find("settings", "backup-to", Fault, "give it to the user of the node (chown)", "this user may not write into %s", to)
	default:
		v.find("settings", "backup-to", OK, "", "%s can be written to", to)
	}
}
