// Asks endpoints for a token, over and over, on 32 connections, and does as little else as possible: the answers of one
// endpoint all have one length, so that counting bytes is enough to know when one is whole.
import net from 'node:net'

const CONNECTIONS = 32
const [user] = process.argv.slice(2)
const REQUEST = `GET /token HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User: ${user}\r\n\r\n`
const lengths = new Map()

process.on('message', async ({ port, requests }) => {
  try {
    if (!lengths.has(port)) lengths.set(port, await measureAnswer(port))
    const started = performance.now()
    await run(port, requests)
    process.send({ ms: performance.now() - started })
  } catch (error) {
    process.send({ error: error.stack })
  }
})
process.once('disconnect', () => process.exit())

/** Reads one whole answer, and makes sure that it is one. */
async function measureAnswer(port) {
  const { text, body } = await new Promise((resolve, reject) => {
    let text = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(REQUEST))
    socket.on('error', reject)
    socket.on('data', chunk => {
      text += chunk
      const [head, body] = text.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
      if (body?.length === length) resolve({ text, body }, socket.destroy())
    })
  })
  if (JSON.parse(body).identity !== user) throw new Error(`Not an answer: ${text}`)
  return text.length
}

async function run(port, requests) {
  let toSend = requests
  await Promise.all(Array.from({ length: CONNECTIONS }, () => converse(port, () => toSend-- > 0)))
}

function converse(port, mayAsk) {
  return new Promise((resolve, reject) => {
    let missing = 0
    const socket = net.connect(port, '127.0.0.1')
    const ask = () => {
      if (!mayAsk()) return resolve(socket.destroy())
      missing = lengths.get(port)
      socket.write(REQUEST)
    }
    socket.on('connect', ask)
    socket.on('error', reject)
    socket.on('data', chunk => {
      missing -= chunk.length
      if (missing === 0) ask()
      else if (missing < 0) reject(new Error('An answer is longer than the others.'))
    })
  })
}
