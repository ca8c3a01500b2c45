// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseFlow
import PulseHub
import PulseProcess
import PulseText
import PulseTopics

// Feeds: what a client receives goes to a hub's topics.

@c @implementation
public func pulsews_hub_feed(
  _ handle: OpaquePointer?, _ clientHandle: OpaquePointer?, _ map: UnsafePointer<CChar>?,
  _ error: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
  let hub: Hub
  switch PulseABI.hub(handle) {
  case .problem(let code): return noHub(code, error, size)
  case .hub(let found): hub = found.hub
  }
  let client: Client
  switch PulseABI.client(clientHandle) {
  case .problem(let code):
    copySentence(code == StatusCode.forked.rawValue ? "the client was made before fork()" : "client is NULL", error, size)
    return code
  case .client(let found): client = found
  }
  guard let text = textBytes(map) else { return fail(.invalidArgument, "map is NULL or not UTF-8", error, size) }
  var problem = Sentence([])
  guard let map = FeedMap.named(text, &problem) else { return fail(.badValue, sentence(problem), error, size) }
  let status = hub.feed(map, name: client.options.name.bytes, place: { client.setTap($0) }, letGo: { client.removeTap($0) })
  switch status {
  case .ok: return status.rawValue
  case .busy: return fail(status, "the client is that of a feed already", error, size)
  default: return fail(status, "the client or the hub was closed", error, size)
  }
}

@c @implementation
public func pulsews_hub_map_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ text: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ map: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard index >= 0, index < FeedMapTable.count else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(FeedMapTable.name(index))
  text?.pointee = constant(FeedMapTable.text(index))
  map?.pointee = constant(FeedMapTable.map(index))
  return StatusCode.ok.rawValue
}
