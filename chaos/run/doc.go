// Package run plays a scenario: it sets the stage, lets clients ask and faults happen as the plan says, heals everything, has the checks judge what was seen, and leaves a record behind.
//
// Play does not print; whoever plays listens to the recorder. Whatever ends a run, its processes end with it: on an error, on a cancelled context, and, through the kernel, when the
// program itself is killed.
package run
