// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess

@c @implementation
public func pulsews_batch_create() -> OpaquePointer? { makeHandle(Batch()) }

@c @implementation
public func pulsews_recv_batch(
  _ handle: OpaquePointer?, _ batchHandle: OpaquePointer?, _ max: Int, _ timeout: Int64,
  _ messages: UnsafeMutablePointer<UnsafePointer<pulsews_message>?>?
) -> Int32 {
  messages?.pointee = nil
  switch client(handle) {
  case .client(let client):
    guard let batch = batch(batchHandle), let messages, max != 0 else { return StatusCode.invalidArgument.rawValue }
    // A size_t above the largest Int arrives here as a negative number.
    let count = client.receive(into: batch, max: max < 0 ? Int.max : max, timeout: timeout)
    if count > 0, let records = batch.records {
      messages.pointee = UnsafeRawPointer(records).assumingMemoryBound(to: pulsews_message.self)
    }
    return count
  case .problem(let code):
    return code
  }
}

@c @implementation
public func pulsews_batch_traits(_ handle: OpaquePointer?) -> Int32 {
  batch(handle)?.traits ?? StatusCode.invalidArgument.rawValue
}

@c @implementation
public func pulsews_batch_free(_ handle: OpaquePointer?) {
  if let handle { Unmanaged<Batch>.fromOpaque(UnsafeRawPointer(handle)).release() }
}
