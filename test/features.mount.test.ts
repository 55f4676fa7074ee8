/**
 * The features of FUSE that Holdfast makes up for are left out in turn, then all that are optional together: files behave as on the
 * directory below, bytes are where they should be, and leases protect as ever. What older kernels make of it is
 * simulated in src/daemon/kernels.test.ts; `npm run difftest -- --without FEATURE` goes on for as long as one likes.
 */
import { describe, expect, test } from 'vitest'
import { FEATURES, type FeatureName } from '../src/passthrough/features.js'
import { statusMounts } from './support/listing.js'
import { type FileSystemKind, holdfastServer, onMount } from './support/on-mount.js'
import { program } from './support/programs.js'
import { inSandbox } from './support/sandbox.js'

const OPTIONAL = FEATURES.filter(({ isRequired }) => isRequired !== true).map(({ name }) => name)

/** Checks of conformance.py about what we do in another way without a feature. */
const CHECKS: Readonly<Partial<Record<FeatureName, readonly string[]>>> = {
  passthrough: ['writes_take_setuid_bits', 'appending_together', 'files_that_change_behind_the_mount'],
  'direct-io-allow-mmap': ['appending_together', 'large_and_odd_transfers'],
  'create-supp-group': ['setgid_directories'],
  'init-ext': ['writes_take_setuid_bits', 'setgid_directories', 'appending_together'],
  noflush: ['appending_together'],
  'setxattr-ext': ['access_control_lists', 'extended_attributes'],
  'handle-killpriv-v2': ['writes_take_setuid_bits'],
  'atomic-o-trunc': ['times', 'permissions'],
  'dont-mask': ['permissions', 'setgid_directories'],
  'auto-inval-data': ['files_that_change_behind_the_mount', 'replaced_and_removed_files_go_on'],
  'do-readdirplus': ['a_directory_that_is_read_again_shows_what_is_new', 'names_that_are_not_utf8'],
}

/** The kernel applies the umask where a default ACL would take its place, and nobody can tell what it took. */
const DIFFERENT_WITHOUT_MASK = 'access_control_lists'

interface Left {
  readonly out: readonly FeatureName[]
  readonly kind: FileSystemKind
  /** Names of checks; null is all of them, and random calls besides. */
  readonly checks: readonly string[] | null
}

const butPassthrough = OPTIONAL.filter((name) => name !== 'passthrough' && name !== 'init-ext')

const ROWS: Readonly<Record<string, Left>> = {
  // Where nothing of ours depends on a feature, it is enough that it is left out together with the others.
  ...Object.fromEntries(
    OPTIONAL.flatMap((name) => {
      const checks = CHECKS[name]
      return checks === undefined ? [] : [[name, { out: [name], kind: 'tmpfs', checks }]]
    }),
  ),
  'all but passthrough': { out: butPassthrough, kind: 'ext4', checks: null },
  all: { out: OPTIONAL, kind: 'tmpfs', checks: null },
}

/** Data that comes through the engine, truncation by another way, and everything at once. */
function concernsLeases(out: readonly FeatureName[]): boolean {
  return out.length > 1 || out.includes('passthrough') || out.includes('atomic-o-trunc')
}

function concernsData(out: readonly FeatureName[]): boolean {
  return out.length > 1 || out.includes('passthrough') || out.includes('auto-inval-data')
}

function script({ out, checks }: Left): string {
  // FUSE_PASSTHROUGH travels in the half of the flags that needs FUSE_INIT_EXT.
  const isPassthrough = !out.includes('passthrough') && !out.includes('init-ext')
  const conformance = `python3 "$PROGRAMS/conformance.py" "$MOUNT" --backing "$BACKING" ${isPassthrough ? '--passthrough' : ''}`
  const exercise = `${program('exercise')} "$MOUNT/exercised" --seed 1 --seconds 20 --operations 300`
  const leases = `python3 "$PROGRAMS/leasebasics.py" "$MOUNT" "$BACKING" ${out.includes('atomic-o-trunc') ? '--no-nonblocking-open' : ''}`
  const everyCheck = `$(sed -n '/^@check/{n;s/^def \\([a-z_0-9]*\\).*/\\1/p}' "$PROGRAMS/conformance.py" | grep -vx ${DIFFERENT_WITHOUT_MASK})`
  return [
    'set -e',
    ...(concernsData(out) ? [exercise] : []),
    `${conformance} ${checks?.join(' ') ?? everyCheck}`,
    ...(concernsLeases(out) ? [leases] : []),
  ].join('\n')
}

test.each(Object.keys(ROWS))(
  'without %s files are what they are below, and leases protect where it concerns them',
  (title) => {
    const row = ROWS[title] ?? expect.unreachable()
    const server = holdfastServer('--without', row.out.join(','))
    const lines = onMount({ kind: row.kind, server, script: script(row) })
    expect(lines.filter((line) => !/^(ok|skip) /.test(line))).toEqual([])
    const claimCount = concernsLeases(row.out) ? 32 : 0
    expect(lines.filter((line) => /^ok [XBL]\d/.test(line))).toHaveLength(claimCount)
    expect(lines.length).toBeGreaterThanOrEqual(row.checks === null ? 70 : claimCount + row.checks.length)
  },
)

describe('the same random calls give the same as below', () => {
  // Without dont-mask the umask is another one in directories with a default ACL.
  test.each([
    { title: 'with passthrough', out: butPassthrough },
    { title: 'with nothing', out: OPTIONAL },
  ])('$title', ({ out }) => {
    const left = out.filter((name) => name !== 'dont-mask')
    const way = left.includes('passthrough') ? '--through-daemon' : ''
    const call = `${program('difftest')} "$PLAIN" "$MOUNT" "$BACKING" --seed 1 --sequences 2 --seconds 60 ${way}`
    const server = holdfastServer('--without', left.join(','))
    const lines = onMount({ kind: 'tmpfs', server, script: call, timeoutS: 150 })
    expect(lines.at(-1)).toMatch(/^ok \d+ steps/)
  })
})

test(
  'status and the control directory say what is in use; who mounts is told what programs will find different',
  inSandbox(async (box) => {
    await box.must('mkdir tree')
    const tree = `${box.work}/tree`
    expect(await box.holdfast('mount', tree)).toMatchObject({ code: 0, stderr: '' })
    const all = FEATURES.map(({ name }) => name)
    expect((await statusMounts(box))[0]).toMatchObject({ features: all, passthrough: true })
    await box.umount(tree)
    const mounted = await box.holdfast('mount', tree, '--without', 'passthrough,atomic-o-trunc')
    expect(mounted).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`holdfast: ${tree} is mounted without atomic-o-trunc: O_TRUNC`),
    })
    const left = all.filter((name) => name !== 'passthrough' && name !== 'atomic-o-trunc')
    const [record] = await statusMounts(box)
    expect(record).toMatchObject({ features: left, passthrough: false })
    const version = await box.must('cat "$1/version"', { args: [String(record?.control)] })
    expect(version).toContain(`features ${left.join(' ')}\n`)
    expect(await box.umount(tree)).toMatchObject({ code: 0 })
  }),
)

test(
  'a feature that is not known is named, with those that are; none is left out by that',
  inSandbox(async (box) => {
    await box.must('mkdir tree && echo > tree/file')
    for (const argv of [
      ['mount', '--without', 'noflush,fuse', `${box.work}/tree`],
      ['mount', '-o', 'without=noflush:fuse', `${box.work}/tree`],
      ['run', '--without', 'fuse', `${box.work}/tree/file`, '--', 'true'],
    ]) {
      const { code, stderr } = await box.holdfast(...argv)
      expect(code).toBe(2)
      expect(stderr).toMatch(/^holdfast: --without fuse: no such feature \(passthrough, .*, or all\)\n$/)
    }
    const known = await box.holdfast('run', '--without', 'all', `${box.work}/tree/file`, '--', 'true')
    expect(known).toMatchObject({ code: 0 })
  }),
)
