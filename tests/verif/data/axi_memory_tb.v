// The AXI memory alone, two read and two write ports, every pin in reach of cocotb.
module tb (
    input clk, input rst,
    input [1:0] arvalid, output [1:0] arready, input [31:0] araddr, input [15:0] arlen, input [5:0] arsize, input [3:0] arburst,
    output [1:0] rvalid, input [1:0] rready, output [63:0] rdata, output [3:0] rresp, output [1:0] rlast,
    input [1:0] awvalid, output [1:0] awready, input [31:0] awaddr, input [15:0] awlen, input [5:0] awsize, input [3:0] awburst,
    input [1:0] wvalid, output [1:0] wready, input [63:0] wdata, input [7:0] wstrb, input [1:0] wlast,
    output [1:0] bvalid, input [1:0] bready, output [3:0] bresp
);
    covenant_axi_memory #(
        .READ_PORTS(2), .WRITE_PORTS(2), .ADDRESS_BITS(16), .DATA_BITS(32), .SIZE_WORDS(2048),
        .READ_LATENCY(`READ_LATENCY), .WRITE_LATENCY(`WRITE_LATENCY)
    ) memory (
        .clk(clk), .rst(rst),
        .arvalid(arvalid), .arready(arready), .araddr(araddr), .arlen(arlen), .arsize(arsize), .arburst(arburst),
        .rvalid(rvalid), .rready(rready), .rdata(rdata), .rresp(rresp), .rlast(rlast),
        .awvalid(awvalid), .awready(awready), .awaddr(awaddr), .awlen(awlen), .awsize(awsize), .awburst(awburst),
        .wvalid(wvalid), .wready(wready), .wdata(wdata), .wstrb(wstrb), .wlast(wlast),
        .bvalid(bvalid), .bready(bready), .bresp(bresp)
    );
endmodule
