// Timeline monitor: writes one 8-byte record an event to the file named by +timeline=FILE; costs nothing without it.
//
// Record, little endian: bits 0-47 cycle, bits 48-55 engine index, bits 56-63 kind (0 dispatch, 1 start, 2 retire,
// 3 run begins). Cycle 0 is the first cycle with `running` = 1; each rise of `running` begins a run.
module covenant_monitor #(
    parameter ENGINES = 1,
    parameter ENGINE_BITS = 1
) (
    input clk,
    input rst,
    input running,
    input dispatch,
    input [ENGINE_BITS-1:0] dispatch_engine,
    input [ENGINES-1:0] start,
    input [ENGINES-1:0] retire,
    output reg [31:0] runs      // runs begun since reset
);
    localparam [7:0] DISPATCH = 0, START = 1, RETIRE = 2, BEGIN = 3;

    reg [8*4096-1:0] path;
    integer file = 0;
    reg logging = 0;
    reg running_before = 0;
    reg [47:0] next = 0;
    wire [7:0] dispatch_index = dispatch_engine;
    wire [47:0] cycle = running && !running_before ? 48'd0 : next;

    initial
        if ($value$plusargs("timeline=%s", path)) begin
            file = $fopen(path, "wb");
            logging = 1;
        end

    task record(input [7:0] kind, input [7:0] engine, input [47:0] at);
        $fwrite(file, "%u", {kind, engine, at});
    endtask

    integer e;
    always @(posedge clk) begin
        next <= cycle + 1;
        running_before <= running;
        if (rst)
            runs <= 0;
        else if (running && !running_before) begin
            runs <= runs + 1;
            if (logging)
                record(BEGIN, 0, 0);
        end
        if (logging && !rst) begin
            if (dispatch)
                record(DISPATCH, dispatch_index, cycle);
            if (|{start, retire})
                for (e = 0; e < ENGINES; e = e + 1) begin
                    if (start[e])
                        record(START, e[7:0], cycle);
                    if (retire[e])
                        record(RETIRE, e[7:0], cycle);
                end
        end
    end
endmodule
