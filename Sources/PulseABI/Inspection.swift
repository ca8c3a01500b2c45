// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess
import PulseText

// What can be read of a client.

@c @implementation
public func pulsews_client_state(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): client.currentState
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_client_error(
  _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard let failure = client.currentFailure else { return StatusCode.ok.rawValue }
    return fail(failure.code, failure.text, error, errorSize)
  case .problem(let code):
    return noClient(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_client_retryable(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): client.isRetryable ? 1 : 0
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_close_code(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): Int32(client.closeCode)
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_close_reason(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  copy(handle, buffer, size) { $0.closeReason.bytes }
}

@c @implementation
public func pulsews_server_message(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  copy(handle, buffer, size) { $0.rejection.bytes }
}

@c @implementation
public func pulsews_handshake_status(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): Int32(truncatingIfNeeded: client.handshakeStatus)
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_handshake_headers(
  _ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int64 {
  copy(handle, buffer, size) { $0.handshakeHeaders.bytes }
}

@c @implementation
public func pulsews_handshake_body(
  _ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int64 {
  copy(handle, buffer, size) { $0.handshakeBody }
}

@c @implementation
public func pulsews_subprotocol(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  copy(handle, buffer, size) { $0.subprotocol.bytes }
}

@c @implementation
public func pulsews_status_json(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  copy(handle, buffer, size) { $0.statusJSON().bytes }
}

@c @implementation
public func pulsews_statistics(_ handle: OpaquePointer?, _ values: UnsafeMutablePointer<Double>?, _ count: Int) -> Int32 {
  switch client(handle) {
  case .client(let client): Int32(client.fillStatistics(values, count < 0 ? Int.max : count))
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_prometheus(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  if handle == nil { return copyBytes(Client.prometheus().bytes, buffer, size) }
  return copy(handle, buffer, size) { Client.prometheus([$0]).bytes }
}

@c @implementation
public func pulsews_wake_fd(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): client.descriptor()
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_wake_clear(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client):
    client.clearDescriptor()
    return StatusCode.ok.rawValue
  case .problem(let code):
    return code
  }
}

private func copy(
  _ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int, _ bytes: (Client) -> [UInt8]
) -> Int64 {
  switch client(handle) {
  case .client(let client): copyBytes(bytes(client), buffer, size)
  case .problem(let code): Int64(code)
  }
}
