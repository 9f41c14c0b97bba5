// The other side of candidate.mjs: sets the contender up, then measures it as often as it is told to.
import { pathToFileURL } from 'node:url'

const [worker, name, context] = process.argv.slice(2)

process.once('disconnect', () => process.exit())

await answer(async () => {
  const { setUp } = await import(pathToFileURL(worker))
  const sample = await setUp(name, JSON.parse(context))
  process.on('message', params => void answer(() => sample(params)))
})

async function answer(work) {
  try {
    process.send({ result: (await work()) ?? null })
  } catch (error) {
    process.send({ error: error.stack ?? String(error) })
  }
}
