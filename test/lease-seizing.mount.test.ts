/** X4, B5 with kill, and the commands of `ctl` on a real mount: leases that are taken away, and whom it may cost. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { command, writeCommand } from './support/control.js'
import { controlDirectory, readEvents } from './support/events.js'
import { eventuallyTrue, staysPending } from './support/eventually.js'
import { EXCLUSIVE, NORMAL, POLLERR, POLLPRI, READ, REVOKED, WRITE } from './support/ioctl.js'
import { HOLDFAST } from './support/programs.js'
import { inSandbox } from './support/sandbox.js'
import { isAlive, PAGE, scene } from './support/scene.js'

const OWNER = 4711
const TAKER = 4712
const STRANGER = 4713

const s = scene()

async function held(flags = EXCLUSIVE, uid?: number, mode = READ) {
  const holder = await s.agent('holder', uid)
  const fd = await holder.open(s.file)
  const { id } = await holder.setLease(fd, { flags, mode, breakMs: 10_000 })
  return { holder, fd, id }
}

async function dies(agent: Agent): Promise<void> {
  await eventuallyTrue(`${agent.name} has ended`, () => !isAlive(s.box, agent.pid), 2_000)
}

describe('revoke ID', () => {
  test.each([
    ['exclusive', EXCLUSIVE],
    ['normal', NORMAL],
  ])(
    'X4: root takes away an %s lease: `revoked`, POLLERR until it is released, the file is free',
    async (_level, flags) => {
      const { holder, fd, id } = await held(flags)
      const root = await s.agent('root')
      const events = await readEvents(s.box, s.file)
      const told = holder.poll(fd, POLLPRI, 5_000)
      expect(await command(root, s.control, `revoke ${id}`)).toBe('ok')
      expect(await told).toBe(POLLERR)
      expect(await events.next((event) => event.event === 'revoked')).toMatchObject({
        lease: Number(id),
        reason: 'seized',
        owners: [{ pid: holder.pid }],
      })
      expect(await root.call('truncate', s.file, 0)).toBe('0')
      expect(await holder.getLease(fd)).toMatchObject({ value: { id, state: REVOKED } })
      expect((await holder.tryPin(fd, id, 0, PAGE)).errno).toBe('EPERM')
      expect((await holder.trySetLease(fd, { id })).errno).toBe('EPERM')
      expect(await holder.poll(fd, POLLPRI)).toBe(POLLERR)
      expect(await holder.release(fd, id)).toBe('ok')
      expect(await holder.poll(fd, POLLPRI)).toBe(0)
      await events.stop()
    },
  )

  test('X4: a change that waits for a lease goes ahead when that is revoked', async () => {
    const { id } = await held(NORMAL)
    const root = await s.agent('root')
    const breaker = await s.agent('breaker')
    const changing = breaker.call('truncate', s.file, 0)
    await s.becomes('breaking')
    await staysPending('the change', changing)
    expect(await command(root, s.control, `revoke ${id}`)).toBe('ok')
    expect(await changing).toBe('0')
  })

  test('X4: a pinned lease cannot be revoked (EBUSY); without the pin it can', async () => {
    const { holder, fd, id } = await held()
    const root = await s.agent('root')
    const pin = await holder.pin(fd, id, 0, PAGE)
    expect(await command(root, s.control, `revoke ${id}`)).toBe('EBUSY')
    expect(await root.call('truncate', s.file, 0)).toBe('ETXTBSY')
    await holder.unpin(fd, pin.id)
    expect(await command(root, s.control, `revoke ${id}`)).toBe('ok')
  })

  test('malformed commands are EINVAL, unknown ids ENOENT, and neither changes anything', async () => {
    const { id } = await held()
    const root = await s.agent('root')
    for (const line of [
      'revoke',
      'revoke x',
      'revoke -1',
      `revoke ${id} now`,
      `revoke ${id} kill kill`,
      'nonsense 1',
    ]) {
      expect(await command(root, s.control, line)).toBe('EINVAL')
    }
    for (const line of ['revoke 0', 'revoke 999999', 'revoke 999999 kill', 'revoke 999999999999999']) {
      expect(await command(root, s.control, line)).toBe('ENOENT')
    }
    expect(await s.leases()).toMatchObject([{ id: Number(id), state: 'active' }])
  })
})

describe('who may', () => {
  test('X4: the owner of the file may revoke it; who took it may only release it; strangers do not even see it', async () => {
    await s.box.must('chown "$2" "$1"', { args: [s.file, String(OWNER)] })
    for (const [uid, answer] of [
      [TAKER, 'EPERM'],
      [OWNER, 'ok'],
    ] as const) {
      const { holder, fd, id } = await held(EXCLUSIVE, TAKER)
      const stranger = await s.agent('stranger', STRANGER)
      expect(await command(stranger, s.control, `revoke ${id}`)).toBe('ENOENT')
      expect(await command(stranger, s.control, `revoke ${id} kill`)).toBe('ENOENT')
      const user = await s.agent('user', uid)
      expect(await command(user, s.control, `revoke ${id}`)).toBe(answer)
      await holder.release(fd, id)
    }
  })

  test('X4: who owns neither file nor lease, but a process that is an owner, sees it and may not: EPERM', async () => {
    const { holder, id, fd } = await held()
    const other = s.adopt(await holder.fork(`${holder.name}-other`))
    await other.call('become', STRANGER, STRANGER)
    expect(await other.setOwner(fd, { lease: id, op: 1 })).toBe('ok')
    expect(await command(other, s.control, `revoke ${id}`)).toBe('EPERM')
    expect(await command(other, s.control, `revoke ${id} kill`)).toBe('EPERM')
    expect(isAlive(s.box, other.pid)).toBe(true)
  })

  test('the rights of a command are those of who opened ctl, whoever writes', async () => {
    const { holder, id, fd } = await held()
    const opener = await s.agent('opener')
    const privileged = s.adopt(await opener.fork(`${opener.name}-root`))
    await opener.call('setresuid', STRANGER, STRANGER, 0)
    const ctl = await opener.open(`${s.control}/ctl`, 'rdwr')
    // The very process that opened it as an ordinary user writes as root, as a setuid program would.
    expect(await opener.call('setresuid', 0, 0, 0)).toBe('0')
    expect(await writeCommand(opener, ctl, `revoke ${id}`)).toBe('ENOENT')
    expect(await writeCommand(opener, ctl, 'break-time 100')).toBe('EPERM')
    expect(await writeCommand(opener, ctl, 'release-all 0')).toBe('EPERM')
    // It takes no lease for root either: on what root has open, for example.
    const target = await opener.open(s.file)
    expect(await writeCommand(opener, ctl, `hold ${target}`)).toBe('EPERM')
    expect(await command(privileged, s.control, `revoke ${id}`)).toBe('ok')
    await holder.release(fd, id)
  })
})

describe('revoke ID kill', () => {
  test('X4: the owners and whoever has a pin under it are killed; pins and lease end, a waiting process goes on', async () => {
    const { holder, fd, id } = await held()
    const pinner = s.adopt(await holder.fork(`${holder.name}-pinner`))
    await pinner.setOwner(fd, { lease: id, op: 1 })
    await pinner.pin(fd, id, 0, PAGE)
    await pinner.setOwner(fd, { lease: id, op: 2 })
    const bystander = s.adopt(await holder.fork(`${holder.name}-bystander`))
    const root = await s.agent('root')
    const events = await readEvents(s.box, s.file)
    expect(await command(root, s.control, `revoke ${id} kill`)).toBe('ok')
    await dies(holder)
    await dies(pinner)
    expect(await root.call('truncate', s.file, 0)).toBe('0')
    expect(await events.next((event) => event.event === 'unpinned')).toMatchObject({
      reason: 'killed',
      holder: { kind: 'process', pid: pinner.pid },
    })
    expect(await events.next((event) => event.event === 'revoked')).toMatchObject({ reason: 'seized' })
    // It has the descriptor, but neither owned nor pinned anything.
    expect(isAlive(s.box, bystander.pid)).toBe(true)
    expect(await bystander.getLease(fd)).toMatchObject({ value: { state: REVOKED } })
    await events.stop()
  })

  test('X4: who may not kill one of the owners kills nobody: EPERM, and the lease stays', async () => {
    await s.box.must('chown "$2" "$1"', { args: [s.file, String(OWNER)] })
    const { holder, fd, id } = await held()
    const user = s.adopt(await holder.fork(`${holder.name}-user`))
    await user.call('become', OWNER, OWNER)
    await user.setOwner(fd, { lease: id, op: 1 })
    const owner = await s.agent('owner', OWNER)
    expect(await owner.call('kill', user.pid, 0)).toBe('0')
    expect(await command(owner, s.control, `revoke ${id} kill`)).toBe('EPERM')
    expect([isAlive(s.box, user.pid), isAlive(s.box, holder.pid)]).toEqual([true, true])
    expect(await s.leases()).toMatchObject([{ id: Number(id), state: 'active' }])
    // Once root's process is no owner any more, nothing stands against it.
    await holder.setOwner(fd, { lease: id, op: 2 })
    expect(await command(owner, s.control, `revoke ${id} kill`)).toBe('ok')
    await dies(user)
    expect(isAlive(s.box, holder.pid)).toBe(true)
  })

  test('X4: a pin that only a context has can be ended by nobody’s death: EBUSY', async () => {
    const { holder, fd, id } = await held()
    const context = await holder.openPinContext(fd)
    await holder.pin(context, id)
    const keeper = s.adopt(await holder.fork(`${holder.name}-keeper`))
    await holder.setOwner(fd, { lease: id, op: 2 })
    const root = await s.agent('root')
    expect(await command(root, s.control, `revoke ${id} kill`)).toBe('EBUSY')
    expect([isAlive(s.box, holder.pid), isAlive(s.box, keeper.pid)]).toEqual([true, true])
    await holder.call('close', context)
    await keeper.call('close', context)
    expect(await command(root, s.control, `revoke ${id}`)).toBe('ok')
  })

  test('X4: a zombie ends with the processes that pin it', async () => {
    const { holder, fd, id } = await held()
    await holder.pin(fd, id)
    await holder.call('close', fd)
    await s.becomes('zombie', id)
    const root = await s.agent('root')
    expect(await command(root, s.control, `revoke ${id}`)).toBe('EBUSY')
    expect(await command(root, s.control, `revoke ${id} kill`)).toBe('ok')
    await dies(holder)
    expect(await s.leases()).toEqual([])
    expect(await root.call('truncate', s.file, 0)).toBe('0')
  })
})

describe('release-all UID', () => {
  test('root releases the leases of one user and leaves those of others', async () => {
    const first = await held(EXCLUSIVE, TAKER)
    const second = await held(NORMAL, TAKER)
    const other = await held(EXCLUSIVE, STRANGER)
    const root = await s.agent('root')
    expect(await command(root, s.control, `release-all ${TAKER}`)).toBe('ok')
    const states = (await s.leases()).map(({ id, state }) => [id, state])
    expect(states).toEqual([
      [Number(first.id), 'revoked'],
      [Number(second.id), 'revoked'],
      [Number(other.id), 'active'],
    ])
  })

  test('a user releases their own and nobody else’s (EPERM), not even on a file of theirs', async () => {
    await s.box.must('chown "$2" "$1"', { args: [s.file, String(OWNER)] })
    const { id } = await held(EXCLUSIVE, TAKER)
    const owner = await s.agent('owner', OWNER)
    const taker = await s.agent('taker', TAKER)
    expect(await command(owner, s.control, `release-all ${TAKER}`)).toBe('EPERM')
    expect(await command(owner, s.control, `release-all ${OWNER}`)).toBe('ok')
    expect(await s.leases()).toMatchObject([{ id: Number(id), state: 'active' }])
    expect(await command(taker, s.control, `release-all ${TAKER}`)).toBe('ok')
    expect(await s.leases()).toMatchObject([{ id: Number(id), state: 'revoked' }])
  })

  test('P4: pins keep the lease they are on, and with it all of them: EBUSY', async () => {
    const pinned = await held(EXCLUSIVE, TAKER)
    const other = await held(EXCLUSIVE, TAKER)
    await pinned.holder.pin(pinned.fd, pinned.id)
    const root = await s.agent('root')
    expect(await command(root, s.control, `release-all ${TAKER}`)).toBe('EBUSY')
    expect((await s.leases()).map((row) => row.state)).toEqual(['active', 'active'])
    expect(await command(root, s.control, `revoke ${pinned.id} kill`)).toBe('ok')
    await dies(pinned.holder)
    expect(await command(root, s.control, `release-all ${TAKER}`)).toBe('ok')
    expect(await s.leases()).toMatchObject([{ id: Number(other.id), state: 'revoked' }])
  })
})

describe('break-time MS', () => {
  test('B1: root sets it for breaks that start from now on; others may not, and it has bounds', async () => {
    const { holder, fd } = await held(NORMAL)
    const root = await s.agent('root')
    const user = await s.agent('user', STRANGER)
    expect(await command(user, s.control, 'break-time 100')).toBe('EPERM')
    for (const bad of ['0', '60001', 'soon', '1.5']) {
      expect(await command(root, s.control, `break-time ${bad}`)).toBe('EINVAL')
    }
    expect(await command(root, s.control, 'break-time 300')).toBe('ok')
    const start = performance.now()
    expect(await root.call('truncate', s.file, 0)).toBe('0')
    expect(performance.now() - start).toBeLessThan(3_000)
    expect(await holder.poll(fd, POLLPRI)).toBe(POLLERR)
    expect(await s.box.must('cat "$1/version"', { args: [s.control] })).toContain('break-time 300\n')
    expect(await command(root, s.control, 'break-time 10000')).toBe('ok')
  })
})

describe('B5: --on-timeout kill', () => {
  test(
    'owners that do not answer are killed, every one of them; who has answered lives, and notify-only costs nobody',
    inSandbox(async (box) => {
      const tree = path.join(box.work, 'tree')
      await box.must('mkdir tree && chmod 777 tree')
      await box.mount(tree, '--on-timeout', 'kill', '--break-time', '600')
      const file = await box.file('tree/data')
      await box.must('chmod 644 "$1"', { args: [file] })
      const control = await controlDirectory(box, file)
      expect(await box.must('cat "$1/version"', { args: [control] })).toContain('on-timeout kill\n')
      const events = await readEvents(box, file)
      const [holder, good, reader, breaker] = [
        await box.agent('holder'),
        await box.agent('good'),
        await box.agent('reader'),
        await box.agent('breaker'),
      ]
      const fd = await holder.open(file)
      const { id } = await holder.setLease(fd, { flags: NORMAL })
      const child = await holder.fork('child')
      box.adopt(child)
      await child.setOwner(fd, { lease: id, op: 1 })
      const bystander = await holder.fork('bystander')
      box.adopt(bystander)
      const goodFd = await good.open(file)
      const answered = await good.setLease(goodFd, { flags: NORMAL })
      await reader.call('become', STRANGER, STRANGER)
      const readerFd = await reader.open(file, 'rdonly')
      await reader.setLease(readerFd, { flags: NORMAL })
      const start = performance.now()
      const changing = breaker.call('truncate', file, 0)
      expect(await good.poll(goodFd, POLLPRI, 5_000)).toBe(POLLPRI)
      await good.release(goodFd, answered.id)
      expect(await changing).toBe('0')
      expect(performance.now() - start).toBeGreaterThanOrEqual(590)
      // The change went ahead because they are gone, not because the grace was over.
      expect(performance.now() - start).toBeLessThan(1_600)
      await eventuallyTrue(
        'both owners are dead',
        () => !isAlive(box, holder.pid) && !isAlive(box, child.pid),
      )
      for (const { pid } of [good, reader, bystander]) expect(isAlive(box, pid)).toBe(true)
      expect(await bystander.poll(fd, POLLPRI)).toBe(POLLERR)
      const revoked = await events.next((event) => event.event === 'revoked' && event.lease === Number(id))
      expect(revoked).toMatchObject({ reason: 'timeout' })
      expect(await box.must('cat "$1/metrics"', { args: [control] })).toContain('holdfast_kills_total 2\n')
      await events.stop()
    }),
  )

  test(
    'mount: --on-timeout with anything but revoke or kill is wrong usage',
    inSandbox(async (box) => {
      await box.must('mkdir tree')
      const result = await box.holdfast('mount', 'tree', '--on-timeout', 'wait')
      expect(result.code).toBe(2)
      expect(result.stderr).toBe('holdfast: --on-timeout wait: neither revoke nor kill\n')
    }),
  )
})

describe('holdfast revoke', () => {
  test('X4: takes the lease away and says so; a pinned one needs --kill, which waits for the end', async () => {
    const { holder, fd, id } = await held(EXCLUSIVE, undefined, WRITE)
    const pin = await holder.pin(fd, id)
    const busy = await s.box.holdfast('revoke', String(id))
    expect(busy).toMatchObject({ code: 1, stdout: '' })
    expect(busy.stderr).toMatch(/^holdfast: lease \d+ on \S+: Device or resource busy: .*kill.*\n$/)
    await holder.unpin(fd, pin.id)
    const revoked = await s.box.holdfast('revoke', String(id))
    expect(revoked).toMatchObject({ code: 0, stdout: `lease ${id} on ${s.file}: revoked\n`, stderr: '' })
    await holder.release(fd, id)
    const again = await holder.setLease(fd)
    await holder.pin(fd, again.id)
    const killed = await s.box.holdfast('revoke', String(again.id), '--kill')
    expect(killed).toMatchObject({ code: 0, stderr: '' })
    expect(isAlive(s.box, holder.pid)).toBe(false)
    expect(await s.box.must('truncate -s 0 "$1" && echo done', { args: [s.file] })).toBe('done\n')
  })

  test('what is no id is wrong usage (2); an unknown one, or a stranger’s, fails in one line (1)', async () => {
    const { id } = await held()
    for (const word of ['x', '0', '-1', '1.5']) {
      expect((await s.box.holdfast('revoke', '--', word)).code).toBe(2)
    }
    const unknown = await s.box.holdfast('revoke', '999999')
    expect(unknown.code).toBe(1)
    expect(unknown.stderr).toMatch(/^holdfast: lease 999999: there is none .*\n$/)
    const drop = ['setpriv', `--reuid=${STRANGER}`, `--regid=${STRANGER}`, '--clear-groups']
    const stranger = await s.box.exec([...drop, HOLDFAST, 'revoke', String(id), '--kill'])
    expect(stranger.code).toBe(1)
    expect(stranger.stderr).toMatch(/there is none/)
    expect(await s.leases()).toMatchObject([{ id: Number(id), state: 'active' }])
  })

  test(
    'ids are counted by each engine: where two have the same, the file says which is meant',
    inSandbox(async (box) => {
      await box.must('mkdir one two && echo 1 > one/data && echo 2 > two/data')
      for (const name of ['one', 'two']) await box.mount(path.join(box.work, name))
      const holder = await box.agent('holder')
      const files = ['one', 'two'].map((name) => path.join(box.work, name, 'data'))
      const ids = []
      for (const file of files) ids.push((await holder.setLease(await holder.open(file))).id)
      expect(ids[0]).toBe(ids[1])
      const id = String(ids[0])
      const result = await box.holdfast('revoke', id)
      expect(result.code).toBe(1)
      for (const file of files) expect(result.stderr).toContain(file)
      expect((await box.holdfast('revoke', id, files[1] ?? '')).stdout).toContain(files[1])
      expect((await box.bash(': > one/data')).stderr).toContain('Text file busy')
      expect((await box.bash(': > two/data')).code).toBe(0)
    }),
  )
})
