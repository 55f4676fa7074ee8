/** Living with the rest of the machine: mount(8), fstab, systemd's unit, and a clean end by SIGTERM. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { eventuallyTrue } from './support/eventually.js'
import { HOLDFAST } from './support/programs.js'
import { inSandbox, type Sandbox, SOON_MS } from './support/sandbox.js'

/** `holdfast setup` for real, on top of the machine's own directories, which stay as they are. */
async function setUp(box: Sandbox): Promise<void> {
  await box.must(
    'mkdir "$1/over" && mount -t tmpfs tmpfs "$1/over" && for dir in /usr/sbin /etc; do ' +
      'mkdir -p "$1/over$dir/upper" "$1/over$dir/work"; ' +
      'mount -t overlay -o "lowerdir=$dir,upperdir=$1/over$dir/upper,workdir=$1/over$dir/work" overlay "$dir"; done',
    { args: [box.outside] },
  )
  await box.must('[ "$(readlink -f /sbin)" = /usr/sbin ]')
  await box.must('"$1" setup', { args: [HOLDFAST] })
}

async function takeDown(box: Sandbox): Promise<void> {
  await box.must('umount /etc /usr/sbin && umount "$1/over"', { args: [box.outside] })
}

describe('mount -t fuse.holdfast', () => {
  test(
    'mounts with the options of fstab; mount -a does what fstab says; umount(8) ends it',
    inSandbox(async (box) => {
      await setUp(box)
      await box.file('tree/data')
      const [tree, point] = [path.join(box.work, 'tree'), path.join(box.work, 'point')]
      await box.must('mkdir "$1" && mount -t fuse.holdfast "$2" "$1" -o ro,noexec,break-time=700', {
        args: [point, tree],
      })
      expect(box.dataMounts().map(({ target, options }) => [target, options])).toEqual([
        [point, expect.stringMatching(/^ro,noexec/)],
      ])
      expect((await box.bash('echo x >"$1/new"', { args: [point] })).stderr).toContain(
        'Read-only file system',
      )
      expect(await box.must('cat /run/holdfast/0/version')).toMatch(/^break-time 700$/m)
      await box.must('umount "$1"', { args: [point] })
      await box.allGone()
      await box.must(
        'echo "$1 $1 fuse.holdfast nosuid,nofail,x-test=1,on-timeout=kill 0 0" >>/etc/fstab; mount -a -t fuse.holdfast',
        { args: [tree] },
      )
      expect(box.dataMounts().map(({ target, options }) => [target, options])).toEqual([
        [tree, expect.stringContaining('nosuid')],
      ])
      expect(await box.must('cat /run/holdfast/0/version')).toMatch(/^on-timeout kill$/m)
      await box.must('mount -a -t fuse.holdfast && umount "$1"', { args: [tree] })
      await box.allGone()
      await takeDown(box)
    }),
  )

  test(
    'an option that there is not is named in one line, and nothing is mounted',
    inSandbox(async (box) => {
      await setUp(box)
      const { code, stderr } = await box.bash('mount -t fuse.holdfast "$1" "$1" -o breaktime=5', {
        args: [box.work],
      })
      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(/^holdfast: -o breaktime=5: no such mount option/),
      ])
      expect(stderr.trim().split('\n')).toHaveLength(1)
      await box.allGone()
      await takeDown(box)
    }),
  )

  test(
    'setup --remove removes what setup made, and touches nothing that somebody else made',
    inSandbox(async (box) => {
      const root = path.join(box.outside, 'root')
      const files = ['sbin/mount.fuse.holdfast', 'etc/systemd/system/holdfast@.service']
      await box.must('"$1" setup --root "$2"', { args: [HOLDFAST, root] })
      const unit = await box.must('cat "$1"', { args: [path.join(root, files[1] ?? '')] })
      expect(unit).toContain(`ExecStart=${path.resolve(HOLDFAST)} mount %f\n`)
      await box.must('"$1" setup --root "$2"; "$1" setup --root "$2" --remove', { args: [HOLDFAST, root] })
      expect(await box.must('find "$1" -type f', { args: [root] })).toBe('')
      await box.must('echo mine >"$1/sbin/mount.fuse.holdfast"', { args: [root] })
      const { code, stderr } = await box.bash('"$1" setup --root "$2"', { args: [HOLDFAST, root] })
      expect([code, stderr]).toEqual([1, expect.stringContaining("not made by 'holdfast setup'")])
      expect(await box.must('cat "$1/sbin/mount.fuse.holdfast"', { args: [root] })).toBe('mine\n')
    }),
  )
})

describe('SIGTERM', () => {
  test(
    'an engine without leases unmounts and ends, whether it is busy or not',
    inSandbox(async (box) => {
      await box.must('mkdir "$1"', { args: [path.join(box.work, 'tree')] })
      await box.must('"$1" mount tree', { args: [HOLDFAST] })
      const [engine] = (await box.helpers()).engines
      process.kill(engine?.pid ?? 0, 'SIGTERM')
      expect(await box.allGone()).toBeLessThan(SOON_MS)
    }),
  )

  test(
    'an engine with leases keeps what it promised until the last of them ends',
    inSandbox(async (box) => {
      const file = await box.file('tree/data')
      await box.must('"$1" mount tree', { args: [HOLDFAST] })
      const holder = await box.agent('holder')
      const fd = await holder.open(file)
      const lease = await holder.setLease(fd, { flags: 1 })
      const [engine] = (await box.helpers()).engines
      process.kill(engine?.pid ?? 0, 'SIGTERM')
      await eventuallyTrue('it says that it stops', async () =>
        (await box.must('cat /run/holdfast/0/version')).includes('stopping yes'),
      )
      expect((await box.bash('truncate -s 0 "$1"', { args: [file] })).stderr).toContain('Text file busy')
      expect(await holder.release(fd, lease.id)).toBe('ok')
      expect(await holder.call('close', fd)).toBe('0')
      expect(await box.allGone()).toBeLessThan(SOON_MS)
      await box.must('truncate -s 0 "$1"', { args: [file] })
    }),
  )

  test(
    'a second SIGTERM ends it at once; open files go on working until they are closed',
    inSandbox(async (box) => {
      const file = await box.file('tree/data')
      await box.must('"$1" mount tree', { args: [HOLDFAST] })
      const holder = await box.agent('holder')
      const fd = await holder.open(file)
      await holder.setLease(fd, { flags: 1 })
      const [engine] = (await box.helpers()).engines
      process.kill(engine?.pid ?? 0, 'SIGTERM')
      await eventuallyTrue('it says that it stops', async () =>
        (await box.must('cat /run/holdfast/0/version')).includes('stopping yes'),
      )
      process.kill(engine?.pid ?? 0, 'SIGTERM')
      await eventuallyTrue('the mount is gone', () => box.dataMounts().length === 0, SOON_MS)
      expect(await holder.call('close', fd)).toBe('0')
      await box.allGone()
    }),
  )
})
