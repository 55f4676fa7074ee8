/**
 * `holdfast setup`: makes mount(8), fstab(5) and systemd know Holdfast. Two files, in which the places of Node and
 * of this installation are written down, because at boot there is no PATH that leads to them.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathBytes } from './arguments.js'
import { CommandError } from './errors.js'
import { print } from './output.js'
import { quote } from './shell.js'

const MADE_BY = "# Made by 'holdfast setup'; 'holdfast setup --remove' removes it."

export interface SetupOptions {
  readonly remove?: boolean | undefined
  /** The files go below this directory instead of `/`: for packages. */
  readonly root?: string | undefined
}

interface File {
  readonly path: string
  readonly mode: number
  readonly content: string
  readonly use: string
}

function files(): File[] {
  const launcher = resolve(dirname(process.argv[1] ?? ''), '../bin/holdfast')
  const nodeDirectory = dirname(process.execPath)
  return [
    {
      path: 'sbin/mount.fuse.holdfast',
      mode: 0o755,
      content: mountHelper(launcher, nodeDirectory),
      use: 'mount -t fuse.holdfast DIR MOUNTPOINT [-o OPTIONS], and lines of /etc/fstab',
    },
    {
      path: 'etc/systemd/system/holdfast@.service',
      mode: 0o644,
      content: unit(launcher, nodeDirectory),
      use: 'systemctl enable --now holdfast@$(systemd-escape -p DIR)',
    },
  ]
}

/** What mount(8) calls: `DIR MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]`. */
function mountHelper(launcher: string, nodeDirectory: string): string {
  return `#!/bin/sh
${MADE_BY}
# mount(8) calls it for 'mount -t fuse.holdfast DIR MOUNTPOINT' and for lines of fstab with that type.
PATH=$PATH:${quote(nodeDirectory)}
dir=$1 mountpoint=$2 options=defaults
[ $# -ge 2 ] || { echo "usage: mount -t fuse.holdfast DIR MOUNTPOINT [-o OPTIONS]" >&2; exit 1; }
shift 2
while getopts sfnvN:o:t: word; do
  case $word in
    f) exit 0 ;; # --fake: mount(8) only wants to know whether it would be called.
    o) options=$OPTARG ;;
    N) echo "mount.fuse.holdfast: no mounts in another mount namespace (-N)" >&2; exit 1 ;;
    ?) exit 1 ;;
  esac
done
# 'mount -a' comes here again for what is mounted already: it looks for DIR as the source, and finds our own.
findmnt -n -t fuse.holdfast --mountpoint "$mountpoint" >/dev/null 2>&1 && exit 0
exec ${quote(launcher)} mount -o "$options" -- "$dir" "$mountpoint" >/dev/null
`
}

function unit(launcher: string, nodeDirectory: string): string {
  return `${MADE_BY}
# holdfast@srv-models.service puts Holdfast over /srv/models; 'systemd-escape -p DIR' gives the name of a directory.
[Unit]
Description=Holdfast over %f
RequiresMountsFor=%f

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${nodeDirectory}
ExecStart=${launcher} mount %f
ExecStop=${launcher} umount %f

[Install]
WantedBy=multi-user.target
`
}

export function setup(options: SetupOptions): void {
  const root = options.root === undefined ? '/' : pathBytes(options.root).toString('utf8')
  for (const { path, mode, content, use } of files()) {
    const target = join(root, path)
    refuseOthers(target)
    if (options.remove === true) {
      rmSync(target, { force: true })
      continue
    }
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, content, { mode })
    print(`${target}: ${use}`)
  }
}

/** A file with this name that we did not make is somebody's work. */
function refuseOthers(target: string): void {
  let content: string
  try {
    content = readFileSync(target, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  if (content.includes(MADE_BY)) return
  throw new CommandError(`${target}: is there already, and not made by 'holdfast setup': move it away first`)
}
