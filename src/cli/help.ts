/** What `--help` of each command says after its options: an example, and the answer to the next question. */
export const HELP = {
  run: `
Example:
  sudo holdfast run model.gguf -- llama-server -m model.gguf

COMMAND finds itself as without Holdfast: same pid, descriptors, signals, environment,
terminal, exit code. In addition it has FILE open on descriptor 9 (8, 7, ... for more FILEs).
FILE stays protected until COMMAND ends, even if it closes every descriptor.

Others get "Text file busy" when they truncate FILE or punch holes into it, and "Device or
resource busy" when they rename or remove it. Reading, writing in place, appending work.

Without root it works on files that you may write to, with fusermount3 (package fuse3). Nobody
else can use FILE then, and reading it is slower.`,
  mount: `
Examples:
  sudo holdfast mount /srv/models                 paths stay as they are
  sudo holdfast mount /srv/models /mnt/models     shown at another place
  sudo holdfast mount /srv/models /mnt/models --cache strict   when others change /srv/models itself
  sudo holdfast mount /srv/models --break-time 2000 --on-timeout kill
  sudo holdfast mount /srv/models -o ro,break-time=2000   as fstab writes it, see 'holdfast setup'

Without a lease nothing changes for anyone; any program may take one on a file it has open.
Files stay where they are, and after 'holdfast umount' everything is as before.
Without root it works on directories of yours, for you alone ('holdfast doctor').`,
  umount: `
Example:
  sudo holdfast umount /srv/models

While leases, pins or open files need the mount it stays, with exit code 1 and one line that
names who keeps it busy. Without root you are told of your own processes only.
An engine that was stopped or does not answer is named, with how to end it all the same.`,
  lease: `
Examples:
  exec 3</srv/models/a.gguf && holdfast lease --fd 3 --exclusive     until 'exec 3<&-'
  holdfast lease --exclusive /srv/models/a.gguf -- sha256sum /srv/models/a.gguf
  holdfast lease --write --wait --start 0 --length 4096 /srv/models/a.gguf -- ./rewrite-header

FILE must be under a Holdfast mount ('holdfast mount', or 'holdfast run', which makes its own).
An exclusive lease needs the owner of the file, root, or a descriptor open for writing.`,
  leases: `
Examples:
  holdfast leases
  holdfast leases /srv/models --json

You see your own processes and files; root sees all.`,
  pins: `
Examples:
  holdfast pins
  holdfast pins 4711 --json`,
  who: `
Example:
  holdfast who /srv/models/a.gguf

It names who holds or pins it, who waits to change it, whom it has refused, and says what
truncating it would meet now. Where a lease has no owner left, the processes that have the
file open are named. Of others' leases you see the one that would be in your way.`,
  watch: `
Examples:
  holdfast watch
  holdfast watch /srv/models --json | jq 'select(.event == "refused")'

You see what happens to your own files, leases and processes; root sees all. It ends with
Ctrl-C, or with the last mount; with exit code 1 and a line for each if an engine was killed.`,
  revoke: `
Examples:
  holdfast revoke 17
  sudo holdfast revoke 17 --kill

The owner of the file and root may. Its owners are told, and from then on it protects
nothing. A pinned lease cannot be revoked (EBUSY): --kill ends the processes that own it or
pin it, for whoever may kill each of them, and otherwise nobody.`,
  status: `
Example:
  holdfast status --json

It also removes what an engine left that was killed together with its supervisor. Engines
that do not answer are named on standard error ("silent" in JSON), with exit code 1.`,
  doctor: `
Example:
  sudo holdfast doctor

Every line is a fact and what follows from it; exit code 1 if mounting is not possible.`,
  setup: `
Examples:
  sudo holdfast setup
  sudo mount -t fuse.holdfast /srv/models /mnt/models -o ro,break-time=2000
  echo '/srv/models /srv/models fuse.holdfast nosuid,nofail 0 0' | sudo tee -a /etc/fstab
  sudo systemctl enable --now "holdfast@$(systemd-escape -p /srv/models).service"

An engine that gets SIGTERM ends with its last lease; a second one ends it at once.`,
} as const
