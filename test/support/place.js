/** A fresh file system with a mount on it, for one program and its children: see on-mount.sh. */
import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const SUPPORT = import.meta.dirname

/** What commands find in their environment. LC_ALL: the tests quote the messages of the C library. */
export const PLAIN_ENVIRONMENT = {
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  HOME: '/root',
  TERM: 'dumb',
}

/** A directory to make the place in; to be removed afterwards. @param {string} prefix */
export function makeWork(prefix) {
  const work = mkdtempSync(path.join(tmpdir(), prefix))
  // Ordinary users must be able to come here too.
  chmodSync(work, 0o755)
  return work
}

/**
 * The real thing, `holdfast mount`: a command that gets the directory and the mountpoint as its last arguments.
 * @param {string[]} options
 */
export function holdfastServer(...options) {
  return [path.join(SUPPORT, 'serve-holdfast.sh'), ...options]
}

/**
 * The command that makes the place in a mount namespace of its own, and runs another one in it.
 * @param {string} work see `makeWork`
 * @param {string} kind of file system
 * @param {readonly string[]} server who serves the mount
 * @param {readonly string[]} command what finds $FILE_SYSTEM, $PLAIN, $BACKING and $MOUNT
 */
export function inPlace(work, kind, server, command) {
  const make = [path.join(SUPPORT, 'on-mount.sh'), work, kind]
  return ['unshare', '-m', '--propagation', 'private', ...make, ...server, '--', ...command]
}
