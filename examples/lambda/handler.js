// A token endpoint on AWS Lambda, behind an API Gateway HTTP API or a function URL (payload format 2.0).
import { VKitClient } from '@video-io/videokit-nodejs'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'

// Created outside the handler, so that invocations share cached tokens and connections. The client reads the secret from
// VKIT_APP_SECRET. It also accepts a function, which can load the secret from Secrets Manager.
const vkit = new VKitClient()

const respond = createFetchTokenHandler(vkit, {
  // A JWT authorizer has verified the user's bearer token before Lambda calls this function.
  authenticate: ({ event }) => event.requestContext.authorizer?.jwt?.claims.sub,
})

export async function handler(event) {
  const response = await respond({ method: event.requestContext.http.method, event })
  return {
    statusCode: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.text(),
  }
}
