package wire

// BinaryUpgrade is a request to have another program take a node over.
type BinaryUpgrade struct {
	Program          string `json:"program,omitempty" maxLength:"4096" doc:"path of the program on the node; absent: where the running one was started from. Another one has to be in the same directory."`
	ReadyWithinMilli int64  `json:"readyWithinMillis,omitempty" minimum:"0" maximum:"600000" doc:"how long it may take from when it is told to go until it serves; absent or 0: 30 s"`
}

// BinaryUpgraded is the answer.
type BinaryUpgraded struct {
	Node    string `json:"node"`
	Program string `json:"program"`
	Pid     int    `json:"pid" doc:"process id of the new program"`
	Version string `json:"version" doc:"of the new program"`
	Before  string `json:"before" doc:"version of the program that ran"`
	Schema  int    `json:"schema" doc:"schema of the state that the new program has"`
	Took    int64  `json:"tookMillis" doc:"ms until the new program served"`
	Gap     int64  `json:"gapMillis" doc:"ms of them in which no process of the node took part in the group"`
}
