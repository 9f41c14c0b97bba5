const sdk = require('@video-io/videokit-nodejs')

const vkit = new sdk.VKitClient()

exports.handler = async () => ({
  statusCode: 200,
  body: JSON.stringify(await vkit.getSessionToken(process.env.CONSUMER)),
})
exports.sdk = sdk
