// The child process of candidate.mjs. It sets up one candidate, and takes a sample for each message.
import { pathToFileURL } from 'node:url'

const [worker, name, context] = process.argv.slice(2)

process.once('disconnect', () => process.exit())

await reply(async () => {
  const { setUp } = await import(pathToFileURL(worker))
  const sample = await setUp(name, JSON.parse(context))
  process.on('message', params => void reply(() => sample(params)))
})

async function reply(work) {
  try {
    process.send({ result: (await work()) ?? null })
  } catch (error) {
    process.send({ error: error.stack ?? String(error) })
  }
}
