import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import * as c from './constants.js'
import { close, open, readAll } from './files.js'
import { bindMailbox, connectStream, receiveDescriptor, sendDescriptor } from './messages.js'
import * as raw from './raw.js'
import { testDirectory } from './test-directory.js'

const directory = testDirectory()

test('a descriptor that is sent is the same open file under a number of its own, in the order it was sent', () => {
  const path = `${directory}/mailbox`
  const mailbox = bindMailbox(path)
  const fds = ['one', 'two'].map((text) => {
    writeFileSync(`${directory}/${text}`, text)
    return open(`${directory}/${text}`, c.O_RDONLY)
  })
  for (const fd of fds) {
    expect(sendDescriptor(mailbox, path, fd)).toBe(0)
    close(fd) // On its way it is kept open by the message.
  }
  const received = fds.map(() => receiveDescriptor(mailbox))
  expect(received.map((fd) => readAll(fd).toString())).toEqual(['one', 'two'])
  for (const fd of [mailbox, ...received]) close(fd)
})

test('mailboxes, streams and what comes out of them stay open across exec', async () => {
  const path = `${directory}/kept`
  const mailbox = bindMailbox(path)
  sendDescriptor(mailbox, path, mailbox)
  const received = receiveDescriptor(mailbox)
  const listener = createServer()
  await new Promise<void>((resolve) => listener.listen(`${directory}/stream`, resolve))
  const stream = connectStream(`${directory}/stream`)
  const fds = [mailbox, received, stream]
  expect(fds.map((fd) => raw.fcntl(fd, c.F_GETFD, 0))).toEqual([0, 0, 0])
  for (const fd of fds) close(fd)
  listener.close()
})

test('who cannot be reached, or what is not open, is an errno', () => {
  const path = `${directory}/reached`
  const mailbox = bindMailbox(path)
  expect(sendDescriptor(mailbox, `${directory}/nobody`, mailbox)).toBe(-Errno.ENOENT)
  expect(sendDescriptor(mailbox, path, 2 ** 30)).toBe(-Errno.EBADF)
  expect(receiveDescriptor(2 ** 30)).toBe(-Errno.EBADF)
  expect(() => connectStream(path)).toThrow(expect.objectContaining({ errno: Errno.EPROTOTYPE }))
  expect(() => bindMailbox(path)).toThrow(expect.objectContaining({ errno: Errno.EADDRINUSE }))
  close(mailbox)
})
