// Deterministic AXI4 memory: several independent read and write ports over one array.
//
// The promise that the timing model of the architecture graph builds on:
//   ARREADY, AWREADY and WREADY are always 1.
//   AR handshake in cycle t: first R beat not before t + READ_LATENCY; one beat a cycle and port, in order;
//   a beat comes at max(handshake of the previous beat + 1, time its burst is ready) and waits while RREADY is 0.
//   B comes WRITE_LATENCY cycles after the last W handshake of its burst, one a cycle and port, in order.
//   A beat outside [0, SIZE_BYTES) answers DECERR and touches nothing.
//   Ports never delay each other. A byte written in cycle t is seen by beats that become valid in cycle t + 2 or later.
//
// The array is byte addressed from outside (the simulator's memory image): word w holds bytes w*DATA_BITS/8 ..,
// lane 0 first. Misuse of the bus (W before its AW, a burst over 4 KiB, a type other than INCR, a narrow beat)
// stops the simulation with a message that names the port.
module covenant_axi_memory #(
    parameter READ_PORTS = 1,
    parameter WRITE_PORTS = 1,
    parameter ADDRESS_BITS = 32,
    parameter DATA_BITS = 128,
    parameter SIZE_WORDS = 1024,    // in words of DATA_BITS
    parameter READ_LATENCY = 1,     // cycles, at least 1
    parameter WRITE_LATENCY = 1,    // cycles, at least 1
    parameter DEPTH_LOG2 = 7        // a port may have 2**DEPTH_LOG2 - 1 bursts outstanding; architectures have 64 at most
) (
    input clk,
    input rst,

    input [READ_PORTS-1:0] arvalid,
    output [READ_PORTS-1:0] arready,
    input [READ_PORTS*ADDRESS_BITS-1:0] araddr,
    input [READ_PORTS*8-1:0] arlen,
    input [READ_PORTS*3-1:0] arsize,
    input [READ_PORTS*2-1:0] arburst,
    output reg [READ_PORTS-1:0] rvalid,
    input [READ_PORTS-1:0] rready,
    output reg [READ_PORTS*DATA_BITS-1:0] rdata,
    output reg [READ_PORTS*2-1:0] rresp,
    output reg [READ_PORTS-1:0] rlast,

    input [WRITE_PORTS-1:0] awvalid,
    output [WRITE_PORTS-1:0] awready,
    input [WRITE_PORTS*ADDRESS_BITS-1:0] awaddr,
    input [WRITE_PORTS*8-1:0] awlen,
    input [WRITE_PORTS*3-1:0] awsize,
    input [WRITE_PORTS*2-1:0] awburst,
    input [WRITE_PORTS-1:0] wvalid,
    output [WRITE_PORTS-1:0] wready,
    input [WRITE_PORTS*DATA_BITS-1:0] wdata,
    input [WRITE_PORTS*DATA_BITS/8-1:0] wstrb,
    input [WRITE_PORTS-1:0] wlast,
    output reg [WRITE_PORTS-1:0] bvalid,
    input [WRITE_PORTS-1:0] bready,
    output reg [WRITE_PORTS*2-1:0] bresp
);
    localparam BYTES = DATA_BITS / 8;
    localparam SIZE_LOG2 = $clog2(BYTES);
    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [1:0] OKAY = 2'd0, DECERR = 2'd3, INCR = 2'd1;

    reg [DATA_BITS-1:0] memory [0:SIZE_WORDS-1];
    reg [31:0] now;     // cycle number, wraps; due times are compared by their difference

    // Bursts that wait, a ring a port. Pointers wrap by their width.
    reg [ADDRESS_BITS-1:0] read_address [0:READ_PORTS*DEPTH-1];     // in words
    reg [7:0] read_length [0:READ_PORTS*DEPTH-1];
    reg [31:0] read_due [0:READ_PORTS*DEPTH-1];
    reg [DEPTH_LOG2-1:0] read_head [0:READ_PORTS-1];
    reg [DEPTH_LOG2-1:0] read_tail [0:READ_PORTS-1];
    reg [ADDRESS_BITS-1:0] read_word [0:READ_PORTS-1];              // next beat of the burst under way
    reg [8:0] read_left [0:READ_PORTS-1];

    reg [ADDRESS_BITS-1:0] write_address [0:WRITE_PORTS*DEPTH-1];
    reg [7:0] write_length [0:WRITE_PORTS*DEPTH-1];
    reg [DEPTH_LOG2-1:0] write_head [0:WRITE_PORTS-1];
    reg [DEPTH_LOG2-1:0] write_tail [0:WRITE_PORTS-1];
    reg [ADDRESS_BITS-1:0] write_word [0:WRITE_PORTS-1];
    reg [8:0] write_left [0:WRITE_PORTS-1];
    reg write_error [0:WRITE_PORTS-1];
    reg [31:0] answer_due [0:WRITE_PORTS*DEPTH-1];
    reg [1:0] answer_resp [0:WRITE_PORTS*DEPTH-1];
    reg [DEPTH_LOG2-1:0] answer_head [0:WRITE_PORTS-1];
    reg [DEPTH_LOG2-1:0] answer_tail [0:WRITE_PORTS-1];

    assign arready = {READ_PORTS{1'b1}};
    assign awready = {WRITE_PORTS{1'b1}};
    assign wready = {WRITE_PORTS{1'b1}};

    // The checks of one burst address. Called only on a handshake.
    task check_burst(input [8*5-1:0] kind, input integer port, input [ADDRESS_BITS-1:0] address, input [7:0] length,
                     input [2:0] size, input [1:0] burst);
        begin
            if (burst != INCR)
                $fatal(1, "axi memory: %0s port %0d: burst type %0d, expected INCR (1)", kind, port, burst);
            if ({29'd0, size} != SIZE_LOG2)
                $fatal(1, "axi memory: %0s port %0d: beat size code %0d, expected %0d (full width)", kind, port, size, SIZE_LOG2);
            if (((address & 4095) >> SIZE_LOG2) + {{(ADDRESS_BITS-8){1'b0}}, length} >= (4096 >> SIZE_LOG2))
                $fatal(1, "axi memory: %0s port %0d: burst of %0d beats from 0x%0h crosses 4 KiB", kind, port, length + 1, address);
        end
    endtask

    integer p, b, slot;
    always @(posedge clk) begin
        now <= now + 1;
        if (rst) begin
            now <= 0;
            rvalid <= 0;
            bvalid <= 0;
            for (p = 0; p < READ_PORTS; p = p + 1) begin
                read_head[p] = 0;
                read_tail[p] = 0;
                read_left[p] = 0;
            end
            for (p = 0; p < WRITE_PORTS; p = p + 1) begin
                write_head[p] = 0;
                write_tail[p] = 0;
                write_left[p] = 0;
                write_error[p] = 0;
                answer_head[p] = 0;
                answer_tail[p] = 0;
            end
        end else begin
            // Reads come first in this one process: they see the array as it was before this cycle's writes.
            for (p = 0; p < READ_PORTS; p = p + 1) begin
                if (arvalid[p]) begin
                    check_burst("read", p, araddr[p*ADDRESS_BITS +: ADDRESS_BITS], arlen[p*8 +: 8], arsize[p*3 +: 3], arburst[p*2 +: 2]);
                    slot = p * DEPTH + {{(32-DEPTH_LOG2){1'b0}}, read_tail[p]};
                    read_address[slot] = araddr[p*ADDRESS_BITS +: ADDRESS_BITS] >> SIZE_LOG2;
                    read_length[slot] = arlen[p*8 +: 8];
                    read_due[slot] = now + READ_LATENCY;
                    read_tail[p] = read_tail[p] + 1;
                    if (read_tail[p] == read_head[p])
                        $fatal(1, "axi memory: read port %0d: more than %0d bursts outstanding", p, DEPTH - 1);
                end
                if (!rvalid[p] || rready[p]) begin
                    slot = p * DEPTH + {{(32-DEPTH_LOG2){1'b0}}, read_head[p]};
                    if (read_left[p] == 0 && read_head[p] != read_tail[p] && $signed(read_due[slot] - now) <= 1) begin
                        read_word[p] = read_address[slot];
                        read_left[p] = {1'b0, read_length[slot]} + 1;
                        read_head[p] = read_head[p] + 1;
                    end
                    rvalid[p] <= read_left[p] != 0;
                    if (read_left[p] != 0) begin
                        rlast[p] <= read_left[p] == 1;
                        if (read_word[p] < SIZE_WORDS) begin
                            rdata[p*DATA_BITS +: DATA_BITS] <= memory[read_word[p]];
                            rresp[p*2 +: 2] <= OKAY;
                        end else begin
                            rdata[p*DATA_BITS +: DATA_BITS] <= 0;
                            rresp[p*2 +: 2] <= DECERR;
                        end
                        read_word[p] = read_word[p] + 1;
                        read_left[p] = read_left[p] - 1;
                    end
                end
            end
            for (p = 0; p < WRITE_PORTS; p = p + 1) begin
                if (awvalid[p]) begin
                    check_burst("write", p, awaddr[p*ADDRESS_BITS +: ADDRESS_BITS], awlen[p*8 +: 8], awsize[p*3 +: 3], awburst[p*2 +: 2]);
                    slot = p * DEPTH + {{(32-DEPTH_LOG2){1'b0}}, write_tail[p]};
                    write_address[slot] = awaddr[p*ADDRESS_BITS +: ADDRESS_BITS] >> SIZE_LOG2;
                    write_length[slot] = awlen[p*8 +: 8];
                    write_tail[p] = write_tail[p] + 1;
                    if (write_tail[p] == write_head[p])
                        $fatal(1, "axi memory: write port %0d: more than %0d bursts outstanding", p, DEPTH - 1);
                end
                if (wvalid[p]) begin
                    if (write_left[p] == 0) begin
                        if (write_head[p] == write_tail[p])
                            $fatal(1, "axi memory: write port %0d: W beat before its AW", p);
                        slot = p * DEPTH + {{(32-DEPTH_LOG2){1'b0}}, write_head[p]};
                        write_word[p] = write_address[slot];
                        write_left[p] = {1'b0, write_length[slot]} + 1;
                        write_head[p] = write_head[p] + 1;
                    end
                    if (write_word[p] >= SIZE_WORDS)
                        write_error[p] = 1;
                    else if (&wstrb[p*BYTES +: BYTES])
                        memory[write_word[p]] = wdata[p*DATA_BITS +: DATA_BITS];
                    else
                        for (b = 0; b < BYTES; b = b + 1)
                            if (wstrb[p*BYTES + b])
                                memory[write_word[p]][b*8 +: 8] = wdata[p*DATA_BITS + b*8 +: 8];
                    if (wlast[p] != (write_left[p] == 1))
                        $fatal(1, "axi memory: write port %0d: WLAST is %0d with %0d beats left", p, wlast[p], write_left[p]);
                    write_word[p] = write_word[p] + 1;
                    write_left[p] = write_left[p] - 1;
                    if (write_left[p] == 0) begin
                        slot = p * DEPTH + {{(32-DEPTH_LOG2){1'b0}}, answer_tail[p]};
                        answer_due[slot] = now + WRITE_LATENCY;
                        answer_resp[slot] = write_error[p] ? DECERR : OKAY;
                        answer_tail[p] = answer_tail[p] + 1;
                        write_error[p] = 0;
                        if (answer_tail[p] == answer_head[p])
                            $fatal(1, "axi memory: write port %0d: more than %0d answers outstanding", p, DEPTH - 1);
                    end
                end
                if (!bvalid[p] || bready[p]) begin
                    slot = p * DEPTH + {{(32-DEPTH_LOG2){1'b0}}, answer_head[p]};
                    bvalid[p] <= 0;
                    if (answer_head[p] != answer_tail[p] && $signed(answer_due[slot] - now) <= 1) begin
                        bvalid[p] <= 1;
                        bresp[p*2 +: 2] <= answer_resp[slot];
                        answer_head[p] = answer_head[p] + 1;
                    end
                end
            end
        end
    end
endmodule
