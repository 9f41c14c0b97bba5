// Sends requests for a token on 32 connections, with as little other work as possible. All responses of an endpoint have
// the same length, so counting bytes is enough to find the end of a response.
import net from 'node:net'

const CONNECTIONS = 32
const [user] = process.argv.slice(2)
const REQUEST = `GET /token HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User: ${user}\r\n\r\n`
const lengths = new Map()

process.on('message', async ({ port, requests }) => {
  try {
    if (!lengths.has(port)) lengths.set(port, await measureResponse(port))
    const started = performance.now()
    await run(port, requests)
    process.send({ ms: performance.now() - started })
  } catch (error) {
    process.send({ error: error.stack })
  }
})
process.once('disconnect', () => process.exit())

/** Reads one complete response, and checks it. */
async function measureResponse(port) {
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
  if (JSON.parse(body).identity !== user) throw new Error(`Unexpected response: ${text}`)
  return text.length
}

async function run(port, requests) {
  let toSend = requests
  await Promise.all(Array.from({ length: CONNECTIONS }, () => runConnection(port, () => toSend-- > 0)))
}

function runConnection(port, shouldSend) {
  return new Promise((resolve, reject) => {
    let missing = 0
    const socket = net.connect(port, '127.0.0.1')
    const send = () => {
      if (!shouldSend()) return resolve(socket.destroy())
      missing = lengths.get(port)
      socket.write(REQUEST)
    }
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('data', chunk => {
      missing -= chunk.length
      if (missing === 0) send()
      else if (missing < 0) reject(new Error('A response is longer than the others.'))
    })
  })
}
