// Publishes a message again and again, in a process of its own.
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'
import { serve } from './line-protocol.mjs'

serve({
  flood: async ({ url, channel, message, perSecond, durationMs }) => {
    const client = createClient({ url })
    await client.connect()
    const bytes = Buffer.from(message, 'base64')
    const start = performance.now()
    let sent = 0
    while (performance.now() - start < durationMs) {
      const due = Math.floor(((performance.now() - start) / 1_000) * perSecond)
      const batch = []
      while (sent < due) {
        batch.push(client.publish(channel, bytes))
        sent++
      }
      await Promise.all(batch)
      await wait(10)
    }
    client.destroy()
    return Math.round(sent / (durationMs / 1_000))
  },
})
