package guard

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

// bootAlarm rings at a point of CLOCK_BOOTTIME. Go's own timers are of CLOCK_MONOTONIC: they would sleep on after the machine has slept over a deadline.
type bootAlarm struct {
	fd   int // that of file, for timerfd_settime alone
	file *os.File
	ring chan struct{}
}

func newBootAlarm() (*bootAlarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	a := &bootAlarm{fd: fd, file: os.NewFile(uintptr(fd), "deadline"), ring: make(chan struct{}, 1)}
	go func() {
		var count [8]byte
		for {
			if _, err := a.file.Read(count[:]); err != nil {
				return // closed
			}
			select {
			case a.ring <- struct{}{}:
			default:
			}
		}
	}()
	return a, nil
}

// set has the alarm ring at the deadline, once, or soon when it has passed; 0: never. It may ring although it was set to something else since.
func (a *bootAlarm) set(at vip.Deadline) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(at))} // zero disarms it
	if err := unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	return nil
}

func (a *bootAlarm) rings() <-chan struct{} { return a.ring }

func (a *bootAlarm) close() error { return a.file.Close() }
