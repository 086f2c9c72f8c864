package main

// systemdUnit is scripts/systemd/holdfast.service, which a program that was installed alone does not have beside it; a test compares the two.
const systemdUnit = `# A node of Holdfast. Its settings are in /etc/holdfast/node.yaml; secrets, such as HOLDFAST_JOIN_TOKEN, in /etc/holdfast/env. See docs/UPGRADING.md.
[Unit]
Description=Holdfast load balancer
Documentation=https://github.com/holdfast-lb/holdfast
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
# An upgrade of the program makes another process the main one, which has to be heard before that.
NotifyAccess=all
ExecStart=/usr/local/bin/holdfast serve --config /etc/holdfast/node.yaml
ExecReload=/bin/kill -HUP $MAINPID
EnvironmentFile=-/etc/holdfast/env
StateDirectory=holdfast
# Requests that are under way have 30 s to finish, and the hand-over of leadership 10 s.
TimeoutStopSec=60
WatchdogSec=10
Restart=on-failure
# Wrong settings (2), refused by the group (3), a disk in doubt (4): a restart does not help.
RestartPreventExitStatus=2 3 4
LimitNOFILE=1048576
# The main process alone: the guard of --vip takes the addresses off when the node dies, and ends by itself (mixed would kill it with them on), and a process that has handed the
# node over lets its clients finish, at most 30 s long (control-group would end it by a second SIGTERM, and have a restart wait for it). Both end without being told.
KillMode=process
# Ports below 1024; with --vip also CAP_NET_ADMIN and CAP_NET_RAW.
AmbientCapabilities=CAP_NET_BIND_SERVICE
# No others, though this is root; the last two are for files and directories of another user. The programs of workflows and of --vip-hook have no more; what one of them needs goes here too, by a drop-in.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE CAP_FOWNER
# For the guard of --vip alone: it wakes up in time on a busy machine, and is never paged out.
LimitNICE=-20
LimitMEMLOCK=infinity
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
`
