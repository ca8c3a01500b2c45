// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import CPulseWS
import PulseClient
import PulseProcess

/// What stands behind the opaque handles. Each holds one reference until its free function.

final class LoopHandle: @unchecked Sendable {  // immutable
  let host: LoopHost

  init(_ host: LoopHost) { self.host = host }
}

/// Gives an object away as a handle.
func makeHandle(_ object: some AnyObject) -> OpaquePointer {
  OpaquePointer(Unmanaged.passRetained(object).toOpaque())
}

func config(_ handle: OpaquePointer?) -> Configuration? {
  handle.map { Unmanaged<Configuration>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
}

func loop(_ handle: OpaquePointer?) -> LoopHandle? {
  handle.map { Unmanaged<LoopHandle>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
}

func batch(_ handle: OpaquePointer?) -> Batch? {
  handle.map { Unmanaged<Batch>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
}

enum ClientLookup {
  case client(Client)
  case problem(Int32)
}

/// The client, or why there is none: NULL, or a handle from before fork().
@inline(__always)
func client(_ handle: OpaquePointer?) -> ClientLookup {
  guard let handle else { return .problem(StatusCode.invalidArgument.rawValue) }
  let client = Unmanaged<Client>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
  if client.isForked { return .problem(StatusCode.forked.rawValue) }
  return .client(client)
}
