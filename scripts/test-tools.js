/**
 * Installs what the mount tests need and this machine lacks, with apt-get. It never fails: a test whose tool
 * is missing skips itself and says why. Prints one line when there was something to do.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'

/**
 * What must be there (a program, or a file with its full path), the Debian package that brings it, and what
 * is skipped without it.
 */
const TOOLS = [
  { needs: 'cc', package: 'gcc', tests: 'tests with C programs' },
  { needs: '/usr/include/stdio.h', package: 'libc6-dev', tests: 'tests with C programs' },
  { needs: '/usr/include/linux/fuse.h', package: 'linux-libc-dev', tests: 'tests with C programs' },
  { needs: 'make', package: 'make', tests: 'the C build on a mount' },
  { needs: 'g++', package: 'g++', tests: 'the check of the C header as C++' },
  { needs: 'clang', package: 'clang', tests: 'the check of the C header with a second compiler' },
  { needs: 'git', package: 'git', tests: 'git on a mount' },
  { needs: 'rsync', package: 'rsync', tests: 'comparison of trees with rsync' },
  { needs: 'sqlite3', package: 'sqlite3', tests: 'SQLite on a mount' },
  { needs: 'setfattr', package: 'attr', tests: 'extended attributes' },
  { needs: 'setfacl', package: 'acl', tests: 'access control lists' },
  { needs: 'mkfs.ext4', package: 'e2fsprogs', tests: 'ext4 as backing file system' },
  { needs: 'mkfs.xfs', package: 'xfsprogs', tests: 'XFS as backing file system' },
  { needs: 'mkfs.btrfs', package: 'btrfs-progs', tests: 'btrfs as backing file system' },
  { needs: 'bindfs', package: 'bindfs', tests: 'the comparison with bindfs in the benchmark' },
  { needs: 'fusermount3', package: 'fuse3', tests: 'mounts by an ordinary user' },
  { needs: 'strace', package: 'strace', tests: 'tests that watch system calls' },
  { needs: 'unshare', package: 'util-linux', tests: 'every mount test' },
  { needs: 'setpriv', package: 'util-linux', tests: 'tests as another user' },
  { needs: 'losetup', package: 'mount', tests: 'every test with a file system of its own' },
  { needs: 'script', package: 'bsdutils', tests: 'tests at a pseudo-terminal' },
  {
    needs: 'python3',
    package: 'python3',
    tests: 'conformance checks, pseudo-terminals, SQLite by two processes',
  },
  { needs: 'busybox', package: 'busybox', tests: 'the launcher under the shell of busybox' },
  { needs: 'ps', package: 'procps', tests: 'tests that look at processes' },
]

/** Where root finds programs, whatever PATH the caller has. */
const DIRECTORIES = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']

/** @param {string} needs */
function isThere(needs) {
  if (needs.startsWith('/')) return existsSync(needs)
  return DIRECTORIES.some((directory) => directory !== '' && existsSync(path.join(directory, needs)))
}

function missingTools() {
  return TOOLS.filter((tool) => !isThere(tool.needs))
}

/**
 * @param {string[]} args
 * @returns {string | null} null when it succeeded, else the last thing that apt-get said.
 */
function aptGet(args) {
  const run = spawnSync('apt-get', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 600_000,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (run.error !== undefined) return run.error.message
  if (run.status === 0) return null
  return run.stderr.trim().split('\n').at(-1) ?? `exit code ${run.status}`
}

/**
 * Package lists may be missing or old: only then they are fetched, because that takes longer than the rest.
 * @param {string[]} packages
 */
function install(packages) {
  const command = [
    'install',
    '-y',
    '-qq',
    '--no-install-recommends',
    '-o',
    'DPkg::Lock::Timeout=120',
    ...packages,
  ]
  if (aptGet(command) === null) return null
  return aptGet(['update', '-qq']) ?? aptGet(command)
}

function main() {
  const missing = missingTools()
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((tool) => tool.package))]
  let failure = 'this needs root'
  if (process.getuid?.() === 0) {
    console.log(`test-tools: installing with apt-get: ${packages.join(' ')}`)
    failure = install(packages) ?? ''
  }
  const left = missingTools()
  if (left.length === 0) return
  const tests = [...new Set(left.map((tool) => tool.tests))]
  const why = failure === '' ? 'apt-get did not bring them' : failure
  console.log(`test-tools: not installed: ${left.map((tool) => tool.needs).join(' ')} (${why})`)
  console.log(`test-tools: these will be skipped: ${tests.join('; ')}`)
}

main()
