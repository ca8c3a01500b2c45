// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess

// Sending with flags and a time to live, many messages at once, and waiting for all.

@c @implementation
public func pulsews_send_with(
  _ handle: OpaquePointer?, _ kind: UInt32, _ data: UnsafeRawPointer?, _ length: Int, _ flags: UInt32, _ ttl: Int64,
  _ timeout: Int64, _ id: UnsafeMutablePointer<UInt64>?
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    // A size_t above the largest Int arrives here as a negative number.
    guard length >= 0 else { return StatusCode.tooBig.rawValue }
    guard data != nil || length == 0 else { return StatusCode.invalidArgument.rawValue }
    var number: UInt64 = 0
    let status = client.send(
      kind: kind, payload: UnsafeRawBufferPointer(start: data, count: length), flags: SendFlags(rawValue: flags), ttl: ttl,
      timeout: timeout, id: &number)
    if status == .ok { id?.pointee = number }
    return status.rawValue
  case .problem(let code):
    return code
  }
}

@c @implementation
public func pulsews_send_batch(
  _ handle: OpaquePointer?, _ messages: UnsafePointer<pulsews_message>?, _ count: Int, _ flags: UInt32, _ ttl: Int64,
  _ timeout: Int64, _ firstID: UnsafeMutablePointer<UInt64>?
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard let messages, count > 0, count <= Int(Int32.max) else { return StatusCode.invalidArgument.rawValue }
    var number: UInt64 = 0
    let accepted = client.send(
      messages, count: count, flags: SendFlags(rawValue: flags), ttl: ttl, timeout: timeout, firstID: &number)
    if accepted > 0 { firstID?.pointee = number }
    return accepted
  case .problem(let code):
    return code
  }
}

@c @implementation
public func pulsews_flush(_ handle: OpaquePointer?, _ timeout: Int64) -> Int32 {
  switch client(handle) {
  case .client(let client): client.flush(timeout: timeout).rawValue
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_purge(_ handle: OpaquePointer?) -> Int64 {
  switch client(handle) {
  case .client(let client): Int64(client.purge())
  case .problem(let code): Int64(code)
  }
}
