// The stores that a worker can use. Each returns the store and a function that closes its connections.

export async function openStore({ store, client, redis }) {
  if (store === 'keyv') return openKeyv(redis)
  const connection = await connect(client, redis)
  const { createRedisStore } = await import('@video-io/videokit-nodejs/redis')
  return {
    store: createRedisStore(connection),
    close: () => void (connection.destroy ?? connection.disconnect).call(connection),
  }
}

async function openKeyv(url) {
  const [{ default: Keyv }, { default: KeyvRedis }] = await Promise.all([import('keyv'), import('@keyv/redis')])
  const keyv = new Keyv(new KeyvRedis(url))
  keyv.on('error', () => undefined)
  await keyv.get('warm-up')
  return { store: keyv, close: () => keyv.disconnect() }
}

async function connect(name, url) {
  const { createClient, Redis } = await import(name)
  const connection = createClient ? createClient({ url }) : new Redis(url, { lazyConnect: true })
  connection.on('error', () => undefined)
  await connection.connect()
  return connection
}
