// SPDX-License-Identifier: Apache-2.0
//
// The library's server role for conformance suites:
//   swift run -c release pulsews-echo-server [--port N]
// Prints "listening on 127.0.0.1:PORT" when ready; ends with SIGTERM.
import EchoServer
import Foundation

let arguments = CommandLine.arguments
var port: UInt16 = 0
if arguments.count == 3, arguments[1] == "--port", let wanted = UInt16(arguments[2]) {
  port = wanted
} else if arguments.count != 1 {
  print("usage: \(arguments[0]) [--port N]")
  exit(2)
}
let server = try EchoServer(port: port)
print("listening on 127.0.0.1:\(server.port)")
fflush(nil)
server.run()
