import { VKitConfigError } from './errors.js'

/** What a browser is told, by the client and by what a bundler takes in its place. */
export function browserRefusal(): VKitConfigError {
  return new VKitConfigError(
    'VKitClient runs in Node.js, on your server. In a browser the app secret would be public; edge runtimes lack what it needs.',
  )
}

/** jsdom has a window too, but it has Node beneath it. */
export function refuseBrowser(): void {
  const inNode = typeof process === 'object' && typeof process.versions === 'object' && 'node' in process.versions
  if (!inNode && 'window' in globalThis) throw browserRefusal()
}
